"""Where is each nucleus: everything that belongs to this task alone.

The names below say where its parts are; `tasks` imports each when it is first used.
"""

EXPERIMENT = "nanonuclei.tasks.nuclei.config:NucleiExperiment"
DATASET = "nanonuclei.tasks.nuclei.dataset:NucleiDataset"
FETCH_CHECK = "nanonuclei.tasks.nuclei.sources.fetch:check_dsb2018"
READER = "nanonuclei.tasks.nuclei.reader:NucleiReader"
CONTROLS = "nanonuclei.tasks.nuclei.controls:CONTROLS"
MEASURES = "nanonuclei.tasks.nuclei.controls:MEASURES"
TASK = "nanonuclei.tasks.nuclei.network:NucleiTask"
EXCHANGE = "nanonuclei.tasks.nuclei.zoo.exchange:NucleiExchange"
