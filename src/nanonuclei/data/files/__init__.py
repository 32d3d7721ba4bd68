"""Every image file that the platform reads: one reader, one set of limits, one answer to damaged files."""
