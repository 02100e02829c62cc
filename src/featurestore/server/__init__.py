"""The feature server: a store's online side over HTTP, on granian.

`application` is the RSGI callable of a worker, `routes` the table of what it answers, `launch` what starts the workers.
"""
