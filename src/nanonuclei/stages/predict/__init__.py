"""Predict: from images to tables, outlines and labels of their objects."""
