"""OME-Zarr folders: which images one holds, and how an image is read."""
