"""Pixels: windows, objects, matching. NumPy, SciPy and OpenCV; no Keras from here down."""
