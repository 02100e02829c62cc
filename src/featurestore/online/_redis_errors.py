"""What redis-py raises, as errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from featurestore.errors import ConfigurationError, FeatureStoreError, StoreUnavailableError

__all__ = ["named_errors"]

_REFUSED = (
    ("READONLY", "a server that takes writes", "give the address of the primary: this one is a replica"),
    ("LOADING", "a server that has loaded its data", "try again shortly: it reads its data from disk"),
    ("CLUSTERDOWN", "a cluster in which every slot has a node", "look at CLUSTER INFO and CLUSTER NODES"),
    ("MASTERDOWN", "a replica that reaches its primary", "look at the primary, or give its address"),
    ("TRYAGAIN", "slots that are not being moved", "try again shortly: the cluster moves slots"),
    ("OOM", "room for more rows", "raise maxmemory, set `grace`, or remove views that nobody reads"),
    ("MISCONF", "a server that can save its data", "look at its log and its disk"),
    ("NOREPLICAS", "as many replicas as min-replicas-to-write asks for", "look at the replicas"),
    ("BUSY", "a server that is not running somebody's script", "try again shortly, or SCRIPT KILL"),
)
"""The first words of refusals that may pass: what was expected, and what to do."""

_SETTINGS = (
    ("WRONGTYPE", "keys of this project that hold plain values", "choose another project name, or another database"),
    ("NOPERM", "a user who may run MGET, MSETNX, EVAL, EVALSHA, SCAN and UNLINK on the project's keys", "ask for them"),
    ("DB index", "a database that the server has", "change db"),
)
"""The same of refusals that stay until a setting changes."""


@contextmanager
def named_errors(where: str) -> Iterator[None]:
    """Raise what the client raises inside as one of ours; ``where`` is the address, without a password."""
    from redis.exceptions import RedisClusterException, RedisError

    try:
        yield
    except (RedisError, RedisClusterException) as error:
        raise _translated(error, where) from error


def _translated(error: Exception, where: str) -> FeatureStoreError:
    from redis import exceptions as redis

    match error:
        case redis.AuthenticationError() | redis.AuthorizationError() | redis.AuthenticationWrongNumberOfArgsError():
            return ConfigurationError(
                f"the online store {where} does not let us in",
                found=_said(error),
                expected="the user and the password that the server knows",
                fix="set username and password below online_store, such as password: ${REDIS_PASSWORD}",
            )
        case redis.TimeoutError():
            return StoreUnavailableError(
                f"the online store {where} did not answer in time",
                found=_said(error),
                expected="an answer within `timeout` seconds",
                fix="look at the server and its load; or raise timeout below online_store",
            )
        case redis.BusyLoadingError() | redis.ResponseError():
            return _refused(error, where)
        case _:
            return StoreUnavailableError(
                f"the online store {where} does not answer",
                found=_said(error),
                expected="a Redis or Valkey server that takes connections",
                fix="check the address below online_store and that the server runs",
            )


def _refused(error: Exception, where: str) -> FeatureStoreError:
    what, text = f"the online store {where} refused", _said(error)
    for word, expected, fix in _SETTINGS:
        if word in text:
            return ConfigurationError(what, found=text, expected=expected, fix=fix)
    for word, expected, fix in _REFUSED:
        if word in text:
            return StoreUnavailableError(what, found=text, expected=expected, fix=fix)
    return StoreUnavailableError(
        what, found=text, expected="a server that takes the commands of Redis 6 or later", fix="look at its log"
    )


def _said(error: Exception) -> str:
    """Return what the server said, with the first word, which the client keeps to itself where it knows it."""
    code, text = getattr(error, "status_code", None), str(error).strip() or type(error).__name__
    return text if code is None or text.startswith(code) else f"{code} {text}"
