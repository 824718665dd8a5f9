"""Finding what a document left behind, in files of any asset: tables, token shards, snapshots, reports."""
