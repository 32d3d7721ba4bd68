"""Datasets: fetched, read, described, split, augmented, batched."""
