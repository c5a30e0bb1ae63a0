"""What readings mean: grounding tokens, heads, knock-outs, causal effects and rival maps.

It may use the engine and the metrics; it knows nothing of candidate tracks or of grounding.
"""
