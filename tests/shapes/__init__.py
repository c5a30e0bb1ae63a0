"""Models of two layers in the true shapes of published checkpoints, and what proves them.

Tiny models (`tests/zoo`) cannot show what comes of size: groups of many heads, heads of two widths,
long rows that bfloat16 rounds, windows shorter than a video. These take gigabytes and minutes, so
they run only when asked for: `make test-shapes`.
"""
