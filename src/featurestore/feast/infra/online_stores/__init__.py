"""Feast's module paths of online stores."""
