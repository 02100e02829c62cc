"""Feast's module paths of online stores that others contributed."""
