"""Nanonuclei: tracked experiments that find nuclei and tunneling nanotubes in microscope images."""

__version__ = "0.1.0"
