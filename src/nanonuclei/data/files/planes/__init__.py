"""Planes: what a file has of them, projections over them, and windows of what is too large to be read whole."""
