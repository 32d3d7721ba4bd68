"""Fine-tune: a stored model learns from a few new images, and is compared with what it was."""
