"""The effects: what plans say is done here, with the ports that the store was composed of."""
