"""How stages over many documents are carried out: shards side by side, and joins over files of rows."""
