"""The audit: who asked for what, what was decided, and what came of it, on the record before anything is answered."""
