"""Streams of messages: the port, what messages say, and one file for each kind of broker."""
