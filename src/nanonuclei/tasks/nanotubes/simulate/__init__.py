"""Simulated images of cells and nanotubes."""
