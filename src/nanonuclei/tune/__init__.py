"""The search for better settings: one objective, thin adapters to the tuners, and where trials are stored."""
