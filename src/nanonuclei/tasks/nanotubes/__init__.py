"""Where are the tunneling nanotubes: everything that belongs to this task alone.

The names below say where its parts are; `tasks` imports each when it is first used.
"""

EXPERIMENT = "nanonuclei.tasks.nanotubes.config:NanotubeExperiment"
DATASET = "nanonuclei.tasks.nanotubes.dataset:NanotubeDataset"
READER = "nanonuclei.tasks.nanotubes.reader:NanotubeReader"
CONTROLS = "nanonuclei.tasks.nanotubes.controls:CONTROLS"
MEASURES = "nanonuclei.tasks.nanotubes.controls:MEASURES"
EXCHANGE = "nanonuclei.tasks.nanotubes.zoo.exchange:NanotubeExchange"
TASK = "nanonuclei.tasks.nanotubes.marking.task:nanotube_task"
