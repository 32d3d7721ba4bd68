"""Weights of stored models, with which a training begins."""
