"""Advice: what a corpus is good for, and what that would cost. Numbers and text, from files to a report."""
