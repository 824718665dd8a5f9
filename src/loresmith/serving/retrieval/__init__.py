"""Retrieval: passages of an organisation's documents, found for those who may see them."""
