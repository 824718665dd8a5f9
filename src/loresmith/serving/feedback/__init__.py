"""Feedback on answers: taken from whoever asked, kept sealed, and made into a dataset to learn from."""
