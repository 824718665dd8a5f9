"""A sample of what the endpoint is asked, as numbers and not as words, for reports of how traffic changes."""
