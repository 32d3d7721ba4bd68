"""Objects of every size: how large they are, and images shown to the network in the size that it knows best."""
