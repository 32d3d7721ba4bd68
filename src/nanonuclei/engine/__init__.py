"""What runs a task: training, prediction, evaluation."""
