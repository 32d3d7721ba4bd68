"""A network that marks the centre lines of nanotubes pixel by pixel: what it is shown, what it learns, how it is built."""
