"""Readings and answers drawn: figures for paper, overlays for video.

It draws what it is given and decides nothing.
"""
