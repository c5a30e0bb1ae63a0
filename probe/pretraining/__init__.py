"""Contrastive learning from pairs of pictures and sentences: losses, episodes, schedules, scores.

May use the engine and the metrics; knows no world and no data set. The organism's tower can be
raised by it.
"""
