"""What a server takes on at a time, in which order, and when it stops."""
