"""A server that changes to a new version of its model between two requests, and watches what it is sent."""
