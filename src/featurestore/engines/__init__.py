"""Offline engines: what runs the plan of a training dataset. One port (`base`), one file for each engine."""
