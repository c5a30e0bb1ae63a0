"""Candidate tracks of objects: proposed without weights, detected, read from files, and scored.

This room may use the engine and the metrics; it knows nothing of queries.
"""
