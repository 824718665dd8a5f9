"""Engines: what turns token ids into more of them, for many requests at once."""
