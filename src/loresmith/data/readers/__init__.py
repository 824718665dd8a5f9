"""Readers: one kind of file each, from bytes to the records in it."""
