"""Nanonuclei: tracked experiments that find nuclei and tunneling nanotubes in microscope images."""

import os

__version__ = "0.1.0"

# TensorFlow reads it when it is loaded. On processors without VNNI or AMX it leaves oneDNN off by itself, where a step
# of a training takes a third longer without it; TF_ENABLE_ONEDNN_OPTS=0 still switches it off.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
