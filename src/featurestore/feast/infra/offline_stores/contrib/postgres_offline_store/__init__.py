"""Feast's module paths of the PostgreSQL offline store."""
