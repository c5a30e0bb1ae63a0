"""The model organism: a small world, the network that is trained on it, and its benchmark.

This room knows the truth about every clip. It may use the engine and the video room; the grounder
and its rules never import it.
"""
