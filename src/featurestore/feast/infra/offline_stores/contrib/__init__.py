"""Feast's module paths of offline stores that others contributed."""
