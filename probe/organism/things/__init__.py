"""The world of things: pictures of animals, vehicles, food, objects and people on textured grounds.

It is richer than the world of shapes by an order: more kinds, covered things, light, camera and
noise, two actions in a row, relations, and a language with paraphrases.
"""
