"""Serve: a registered model over HTTP, in the newest version that its alias stands for."""
