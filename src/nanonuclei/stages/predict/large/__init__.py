"""Images that do not fit into memory: read, predicted, measured and written window by window."""
