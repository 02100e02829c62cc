"""Feast's module paths of stores."""
