"""Gives a trained model to tools of others, in their formats."""
