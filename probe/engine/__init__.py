"""The engine: a checkpoint opened, shown a video and read, every pass through nnsight.

It may use `files` and `video`. Only `decoder` touches nnsight's untyped handles.
"""
