"""Recipes, plans and runs: puts assets through steps."""
