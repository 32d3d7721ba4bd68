"""How a network that finds nanotubes is given to tools of others: its maps and its read-out."""
