"""Conditions on rows, as a person writes them: `language = 'de' AND NOT (bytes < 50 OR path LIKE '%.min.js')`."""
