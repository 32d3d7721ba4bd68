"""Tune: the search for better settings."""
