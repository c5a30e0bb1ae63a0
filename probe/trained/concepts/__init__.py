"""Concept probes: which classes can be read from states, also those that were never taught.

LPL (Yang et al., arXiv 2207.14581) on any vectors: features of pictures, or states of a video
model. `mixing` has the placeholders, `learning` the two stages, `recipes` the published choices.
"""
