"""Models that come along with the repository: a folder below `models/` each, with hashes of all its files."""
