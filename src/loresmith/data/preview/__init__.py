"""What curation would do to a sample of documents, rule by rule, with examples; curation's own code does it."""
