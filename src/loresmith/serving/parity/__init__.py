"""Parity: whether an engine computes a model as the reference does."""
