"""The short name of `probe.engine.model`, for users' code: a video language model to ask."""

from probe.engine.model import ORGANISM, VideoLM, load

__all__ = ["ORGANISM", "VideoLM", "load"]
