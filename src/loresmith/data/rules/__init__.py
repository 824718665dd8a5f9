"""What can be said of one document, and repaired in it, without looking at any other: scores, flags and edits.

A rule decides nothing. `profiles` says, for each sort of document, which rules look and which scores are out of bounds.
"""
