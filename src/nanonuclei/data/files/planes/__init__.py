"""Parts of planes: projections over focal planes, and windows of images that are too large to be read whole."""
