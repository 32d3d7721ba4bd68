"""What a user can run: each stage reads files, writes files and logs one MLflow run."""
