"""The engine `torch`: continuous batching over slots of a preallocated key-value cache."""
