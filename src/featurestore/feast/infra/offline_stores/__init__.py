"""Feast's module paths of offline stores."""
