"""Feast's module paths of the PostgreSQL online store."""
