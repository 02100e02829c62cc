"""What is said under ``online_store:`` of a Redis, in any of three spellings, as one frozen value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from featurestore.errors import ConfigurationError
from featurestore.instants import to_duration
from featurestore.online._options import refuse_unknown

__all__ = ["RedisAddress", "RedisOptions"]

_PORT = 6379
_NODES = (("localhost", _PORT),)
_TIMEOUT = 5.0
_SCHEMES = {"redis": False, "valkey": False, "unix": False, "rediss": True, "valkeys": True}
"""Schemes of URLs, and whether they mean TLS."""

_TLS = ("ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile")
_ADDRESS = ("db", "password", "ssl", "username", *_TLS)
"""What an address can say beside where the server is: as options, within `connection_string`, and after `url?`."""

_KNOWN = (
    "connection_string",
    "grace",
    "host",
    "key_ttl_seconds",
    "port",
    "redis_type",
    "timeout",
    "url",
    *_ADDRESS,
)
_FEAST_ONLY = ("full_scan_for_deletion", "sentinel_master", "skip_dedup")
"""Options of Feast's that change nothing here: views are always removed as a whole, and rows never deduplicated."""

_CLUSTER = {"redis": False, "redis_cluster": True}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a server or a cluster is, and as whom to come. Neither text nor repr has the password."""

    nodes: tuple[tuple[str, int], ...] = _NODES
    """Hosts and ports; of a cluster any that can tell the others."""
    path: str | None = None
    """A unix socket, instead of the nodes."""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Mapping[str, Any] | None = field(default=None, repr=False)
    """Options of the TLS connection; ``None``: no TLS."""
    cluster: bool = False

    def __str__(self) -> str:
        where = self.path or ",".join(f"{host}:{port}" for host, port in self.nodes)
        scheme = "unix" if self.path else "rediss" if self.tls is not None else "redis"
        return f"{scheme}://{where}{f'/{self.db}' if self.db else ''}"


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """All that a project says of its Redis."""

    address: RedisAddress
    timeout: float = _TIMEOUT
    """Seconds that one answer may take."""
    grace: timedelta | None = None
    lifetime: timedelta | None = None
    """How long every row lives, whatever its view's ttl is."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> RedisOptions:
        """Read the options.

        Raises:
            ConfigurationError: an option that means nothing or cannot be used.

        Example:
            >>> str(RedisOptions.of({"connection_string": "cache:6380,db=1,password=secret,ssl=true"}).address)
            'rediss://cache:6380/1'
            >>> str(RedisOptions.of({"url": "redis://:secret@cache"}).address)
            'redis://cache:6379'
        """
        refuse_unknown(options, (*_KNOWN, *_FEAST_ONLY), what="redis")
        seconds = _integer(options, "key_ttl_seconds")
        grace = options.get("grace")
        return cls(
            address=_address(options),
            timeout=_timeout(options.get("timeout", _TIMEOUT)),
            grace=None if grace is None else to_duration(grace),
            lifetime=timedelta(seconds=seconds) if seconds else None,
        )


# ---- three spellings of an address -----------------------------------------------------------------------------------


def _address(options: Mapping[str, Any]) -> RedisAddress:
    spellings = [name for name in ("connection_string", "url", "host") if options.get(name) is not None]
    if len(spellings) > 1:
        raise ConfigurationError(
            "the redis online store is told twice where its server is",
            found=" and ".join(spellings),
            expected="one of: connection_string, url, host",
            fix=f"remove {spellings[1]}",
        )
    match spellings:
        case ["connection_string"]:
            said = dict(_of_connection_string(str(options["connection_string"])))
        case ["url"]:
            said = _of_url(str(options["url"]))
        case _:
            said = {"nodes": ((str(options.get("host", "localhost")), _integer(options, "port") or _PORT),)}
    # What stands beside an address wins, so that a password can come from the environment alone.
    said |= {name: options[name] for name in _ADDRESS if options.get(name) is not None}
    return _of_said(said, cluster=_is_cluster(options.get("redis_type", "redis")))


def _of_said(said: Mapping[str, Any], *, cluster: bool) -> RedisAddress:
    tls = {name: said[name] for name in _TLS if name in said}
    if "ssl_check_hostname" in tls:
        tls["ssl_check_hostname"] = _flag(tls, "ssl_check_hostname")
    address = RedisAddress(
        nodes=said.get("nodes") or _NODES,
        path=said.get("path"),
        db=_integer(said, "db") or 0,
        username=_text(said, "username"),
        password=_text(said, "password"),
        tls=tls if _flag(said, "ssl") else None,
        cluster=cluster,
    )
    if cluster and (address.db or address.path):
        raise ConfigurationError(
            "a Redis cluster cannot be reached so",
            found=str(address),
            expected="hosts and ports, and database 0, the only one that a cluster has",
            fix="remove db, or set redis_type: redis",
        )
    return address


def _of_connection_string(text: str) -> Iterator[tuple[str, Any]]:
    nodes = []
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, value = part.partition("=")
        if equals:
            refuse_unknown({name: value}, _ADDRESS, what="redis (connection_string)")
            yield name, value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
        else:
            host, _, port = part.rpartition(":") if ":" in part else (part, "", _PORT)
            nodes.append((host, _integer({"port": port}, "port") or _PORT))
    yield "nodes", tuple(nodes)


def _of_url(url: str) -> dict[str, Any]:
    scheme, path = url.partition(":")[0], ""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # Not said what of it is wrong: an unescaped password may be in the message, or in the port.
        scheme = ""
    if scheme not in _SCHEMES:
        raise ConfigurationError(
            "the url of the redis online store cannot be read",
            expected=f"scheme://user:password@host:port/db, the scheme one of: {', '.join(_SCHEMES)}",
            fix="escape what is special in user and password: %40 for @, %2F for /, %3A for :",
        )
    said: dict[str, Any] = {"ssl": _SCHEMES[scheme]}
    for name, value in parse_qsl(parts.query):
        refuse_unknown({name: value}, _ADDRESS, what="redis (url)")
        said[name] = value
    if scheme == "unix":
        said["path"] = unquote(parts.path)
    elif path := parts.path.strip("/"):
        said["db"] = path
    for name, text in (("username", parts.username), ("password", parts.password)):
        if text:
            said[name] = unquote(text)
    return said | {"nodes": ((parts.hostname or "localhost", port or _PORT),)}


# ---- single values ---------------------------------------------------------------------------------------------------


def _is_cluster(kind: object) -> bool:
    if not isinstance(kind, str) or kind not in _CLUSTER:
        raise ConfigurationError(
            "redis_type names no kind of Redis that is supported",
            found=repr(kind),
            expected=f"one of: {', '.join(_CLUSTER)}",
            fix="for servers behind a sentinel, give the address of the primary or of a proxy in front of them",
        )
    return _CLUSTER[kind]


def _timeout(value: object) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]  # What is no number raises, which is what we are here for.
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigurationError("timeout is no time", found=repr(value), expected="seconds above 0, such as 0.5")
    return seconds


def _integer(options: Mapping[str, Any], name: str) -> int | None:
    value = options.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    raise ConfigurationError(f"{name} of the redis online store is no number", found=repr(value), expected="0 or more")


def _flag(options: Mapping[str, Any], name: str) -> bool:
    value = options.get(name, False)
    if str(value).lower() not in {"true", "false"}:
        raise ConfigurationError(f"{name} is neither yes nor no", found=repr(value), expected="true or false")
    return str(value).lower() == "true"


def _text(options: Mapping[str, Any], name: str) -> str | None:
    # YAML reads a password of digits as a number.
    return None if options.get(name) is None else str(options[name])
