"""How a network that finds nuclei is given to tools of others: its maps, its read-out, scripts for Fiji and QuPath."""
