"""Lists of images that are no folder: tables of paths, and places that are reached by a URL."""
