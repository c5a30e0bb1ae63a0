"""Pictures of readings and answers: figures for a paper, overlays on a video, HTML for Jupyter.

This room draws what it is given and decides nothing. It may use the engine, `interpret` and the
rooms below them; it knows no answer and no data set.
"""
