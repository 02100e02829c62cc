"""Online stores: the newest row of every key, for reads in microseconds. One port, one file a back end."""
