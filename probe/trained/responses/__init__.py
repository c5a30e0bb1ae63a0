"""Response maps: where a thing is, learned from sentences alone (PCNet, NeurIPS 2024).

`losses` and `network` know nothing of video models; `presets` has the published choices as values.
"""
