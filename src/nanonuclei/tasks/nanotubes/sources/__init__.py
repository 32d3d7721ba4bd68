"""Images and annotations of nanotubes as they are distributed, and as they are prepared."""
