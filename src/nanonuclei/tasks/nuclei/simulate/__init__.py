"""The embedded default data of the nuclei task."""
