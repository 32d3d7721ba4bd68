"""OME-TIFF in several files: one image, of which each file holds some planes."""
