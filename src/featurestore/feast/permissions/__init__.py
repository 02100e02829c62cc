"""Feast's module paths of permissions."""
