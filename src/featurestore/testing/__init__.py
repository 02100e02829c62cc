"""Shipped with the package: exams for adapters of every port, slow and obvious references, faults.

The author of an adapter subclasses the suite of its port (`featurestore.testing.materializers`) in a test of its own.
These modules need pytest, and some of them Hypothesis; nothing else of the package imports them.
"""
