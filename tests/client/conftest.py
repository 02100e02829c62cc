"""The project and the server of the server's own tests."""

from __future__ import annotations

from tests.server.conftest import project, served, server

__all__ = ["project", "served", "server"]
