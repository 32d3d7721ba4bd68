"""Correct: results of `predict` become a project for a program in which people correct them."""
