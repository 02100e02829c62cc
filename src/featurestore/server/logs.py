"""The log: one JSON object a line, with ids of requests and names, and never a value, a key or a token."""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import msgspec

__all__ = ["CONFIGURATION", "JsonLines", "Log", "frames"]


class Log:
    r"""Writes lines.

    Args:
        stream: standard error by default.

    Example:
        >>> import io
        >>> stream = io.StringIO()
        >>> Log(stream).line("request", status=200)
        >>> stream.getvalue()
        '{"at":"...","level":"info","event":"request","status":200}\n'
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def line(self, event: str, *, level: str = "info", **said: Any) -> None:
        """Write one line."""
        stream = self._stream or sys.stderr
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = msgspec.json.encode({"at": at, "level": level, "event": event, **said}, enc_hook=str).decode()
        stream.write(text + "\n")
        stream.flush()


def frames(trace: TracebackType | None) -> list[str]:
    """Return where an error comes from, without its message, in which there could be values."""
    return [f"{each.filename}:{each.lineno} in {each.name}" for each in traceback.extract_tb(trace)]


class JsonLines(logging.Formatter):
    """Lines of the same form for what libraries log: of errors their kind and place alone."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": "log",
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0]:
            said |= {"error": record.exc_info[0].__name__, "frames": frames(record.exc_info[2])}
        return msgspec.json.encode(said).decode()


CONFIGURATION: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"lines": {"()": "featurestore.server.logs.JsonLines"}},
    "handlers": {"lines": {"class": "logging.StreamHandler", "formatter": "lines", "stream": "ext://sys.stderr"}},
    "root": {"level": "WARNING", "handlers": ["lines"]},
    "loggers": {"_granian": {"level": "WARNING", "handlers": ["lines"], "propagate": False}},
}
"""For `logging.config.dictConfig`, in each process of the server."""
