"""Objects that people corrected in other programs, read back: outlines, brush strokes, label images."""
