"""Models that come along: made of a run, promoted as the first champion, verified."""
