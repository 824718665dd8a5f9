"""The Python SDK, and the calls that every face is generated from."""
