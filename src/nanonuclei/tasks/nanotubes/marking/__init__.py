"""A network that marks the centre lines of nanotubes pixel by pixel: what it sees, what it learns, how it is built."""
