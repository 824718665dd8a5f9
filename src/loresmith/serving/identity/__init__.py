"""Who is asking: principals, groups, API keys, bearer tokens."""
