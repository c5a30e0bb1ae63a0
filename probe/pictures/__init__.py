"""Arrays drawn: heat over frames, bars of tokens, a margin by step, a figure as HTML.

This room knows nothing of models. It may use `files` and `video`. Results of the engine import it
inside their methods, since importing matplotlib takes long and most programs draw nothing.
"""
