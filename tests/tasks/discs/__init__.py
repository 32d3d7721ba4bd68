"""Where are the bright discs: a task of another package, the smallest that goes through every command."""

EXPERIMENT = "discs.config:DiscsExperiment"
DATASET = "discs.dataset:DiscsDataset"
READER = "discs.reader:DiscsReader"
TASK = "discs.network:DiscsTask"
