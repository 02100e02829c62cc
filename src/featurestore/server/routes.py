"""The table of what the server answers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ROUTES", "Answer", "Route"]

Answer = tuple[int, str, bytes]
"""Status, content type (empty: there is no content) and body."""


@dataclass(frozen=True, slots=True)
class Route:
    """One path."""

    method: str
    path: str
    is_open: bool = False
    """Whether nobody is asked who they are."""
    is_limited: bool = True
    """Whether the time limit holds."""
    changes: bool = False
    """Whether it always gets a line in the log."""


ROUTES = {
    each.path: each
    for each in (
        Route("POST", "/get-online-features"),
        Route("POST", "/v1/features:read"),
        Route("POST", "/push", changes=True),
        Route("POST", "/write-to-online-store", changes=True),
        Route("POST", "/materialize", is_limited=False, changes=True),
        Route("POST", "/materialize-incremental", is_limited=False, changes=True),
        Route("GET", "/health", is_open=True),
        Route("GET", "/v1/ready", is_open=True),
        Route("GET", "/metrics"),
        Route("GET", "/openapi.json", is_open=True),
        Route("GET", "/docs", is_open=True),
    )
}
"""By path."""
