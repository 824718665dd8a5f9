"""What evaluation suites and training corpora have in common. It knows of cases, and not what a suite is."""
