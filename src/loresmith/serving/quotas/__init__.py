"""How much anyone may use: rates, tokens, requests at once, a day's budget, and a fair queue between groups."""
