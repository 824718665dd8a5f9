"""What makes vectors of texts, without a network."""
