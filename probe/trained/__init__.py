"""Readers trained on a frozen model's states, without boxes: response maps, concept probes.

May use what lies below: the engine, its metrics, and the organism's world. Nothing here changes the
model that is read; what is learned is saved with the model's provenance.
"""
