"""How a request is answered, settled as frozen values before anything runs. Pure."""
