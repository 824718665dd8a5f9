"""What may go in and out of a model: guards on input, retrieved text, tool output and output."""
