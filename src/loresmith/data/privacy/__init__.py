"""What is in a text that points at a person or opens a door: found, and put out of sight."""
