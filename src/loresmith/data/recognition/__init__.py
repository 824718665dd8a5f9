"""Text from pictures of pages: lines are found by one neural network and read by another, both the operator's own."""
