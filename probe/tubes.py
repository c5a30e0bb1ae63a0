"""The short name of `probe.video.tubes`, for users' code: answers to "when" and "where"."""

from probe.video.tubes import Box, Span, Tube

__all__ = ["Box", "Span", "Tube"]
