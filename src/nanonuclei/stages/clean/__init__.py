"""Finds and removes what killed processes and deleted runs left over."""
