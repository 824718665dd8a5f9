"""Mixtures: how much of each source a model is trained on, how often, and in which order."""
