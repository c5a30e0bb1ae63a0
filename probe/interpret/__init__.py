"""Interpretation of readings: grounding tokens, heads, knock-outs, causal effects and rival maps.

This room may use the engine, the video and the metrics. It knows nothing of how candidate tracks
are found, nor of grounding.
"""
