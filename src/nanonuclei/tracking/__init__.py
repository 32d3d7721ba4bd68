"""MLflow: runs and metrics."""
