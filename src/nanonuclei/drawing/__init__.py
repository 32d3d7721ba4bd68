"""Charts, pictures and tables that tasks and reports share."""
