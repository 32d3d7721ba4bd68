"""Thin lines in images: found, followed, measured and matched."""
