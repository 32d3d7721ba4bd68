"""The embedded datasets, made by drawing."""
