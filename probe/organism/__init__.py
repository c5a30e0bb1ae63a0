"""The model organism: a small world, the network that lives in it, and how it is raised."""
