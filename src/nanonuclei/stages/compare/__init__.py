"""Compare: which recipe is better."""
