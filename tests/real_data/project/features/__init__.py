"""Features of two shops, made of their event logs. Nothing here knows where results are stored."""
