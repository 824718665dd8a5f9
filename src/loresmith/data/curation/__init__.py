"""Documents to a corpus: every rule says what it sees, and one decision says what becomes of each document."""
