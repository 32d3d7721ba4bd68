"""Looks at a tracking database without importing MLflow: what cannot be done is told at once, and nothing is made."""
