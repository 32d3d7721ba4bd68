"""Figures and tables of a score of the nanotubes task."""

from nanonuclei.tasks.nanotubes.figures.score_figures import figures

__all__ = ["figures"]
