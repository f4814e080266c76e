"""A demo of Relevo: a small RAG platform whose four services share one context."""
