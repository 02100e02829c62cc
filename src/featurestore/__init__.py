"""A feature is a function."""

__all__: list[str] = []
