"""Two corpora beside one another: what came, what went, what changed."""
