"""What documents have in common: exact repetition, near-identical documents, and documents that are inside others."""
