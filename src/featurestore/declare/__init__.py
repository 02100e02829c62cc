"""Declarations: what a feature is. Frozen values without I/O, stores or third parties."""
