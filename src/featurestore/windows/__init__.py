"""Time windows: which events are in one, and what every function makes of them, to the last bit.

A function is defined once, on the events of one window (`functions`), and computed in bulk over positions of sorted
events (`kernel`); `exact` adds floats without rounding until the end, so that a sum depends on nothing but the set of
events. Training datasets, materialized states and requests all end here.
"""
