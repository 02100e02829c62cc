"""Feast's module paths of transformations."""
