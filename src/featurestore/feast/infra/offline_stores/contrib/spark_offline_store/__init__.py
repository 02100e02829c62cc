"""Feast's module paths of the Spark offline store."""
