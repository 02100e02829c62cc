"""A client of the feature server: ``from featurestore.client import Client``."""

from featurestore.client.answers import OnlineAnswer
from featurestore.client.client import Client, RemoteReader

__all__ = ["Client", "OnlineAnswer", "RemoteReader"]
