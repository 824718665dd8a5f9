"""Erasing documents from a workspace for good."""
