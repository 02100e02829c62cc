"""The client: the methods of a store, answered by a server."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Self

import msgspec

from featurestore.client.answers import OnlineAnswer
from featurestore.client.connection import ARROW, Connection
from featurestore.client.rows import pushed, wanted

if TYPE_CHECKING:
    import ssl

__all__ = ["Client", "RemoteReader"]

_TELL = {"prefer": "return=representation"}


class Client:
    """Reads and writes the features of a server, with the methods of a store.

    Connections are kept open and shared by threads. What may succeed later is tried again, a little later each time;
    that is harmless, as pushing the same rows twice adds nothing.

    Args:
        url: of the server, such as ``"https://features.internal:6566"``.
        api_key: what ``featurestore keys create`` printed, or a JSON Web Token.
        timeout: seconds of one try; materializing has none.
        retries: how often to try again.
        backoff: seconds before the second try; twice that before the third, and so on.
        connections: how many are kept open at most.
        verify: certificates to trust, as a context of `ssl`; those of the system by default.

    Raises:
        MissingDependencyError: httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeout: float = 10.0,
        retries: int = 4,
        backoff: float = 0.1,
        connections: int = 20,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._connection = Connection(
            url, api_key, timeout=timeout, retries=retries, backoff=backoff, connections=connections, verify=verify
        )

    def __repr__(self) -> str:
        return f"Client({self._connection.url!r})"

    # ---- reading -------------------------------------------------------------------------------------------------

    def get_online_features(
        self, features: str | Sequence[str], entity_rows: Any, full_feature_names: bool = False
    ) -> OnlineAnswer:
        """Return the newest values of features: one row out for every row in, in their order.

        Args:
            features: references such as ``"view:feature"`` or ``"view"``, or the name of one feature service.
            entity_rows: a list of dicts, a dict of lists, or a pandas, Polars or Arrow frame.
            full_feature_names: name columns ``<view>__<feature>``.

        Raises:
            UnknownNameError: a view, feature or service that the server does not have.
            FrameError: rows that cannot stand.
            ConfigurationError: the server does not know the key, or it opens something else.
            StoreUnavailableError: the server does not answer.
        """
        path, said = wanted(entity_rows)
        references = [features] if isinstance(features, str) else list(features)
        body = {"features": references, "full_feature_names": full_feature_names, **said}
        return OnlineAnswer(self._connection.send(path, body, headers={"accept": ARROW}))

    def online_reader(self, features: str | Sequence[str], full_feature_names: bool = False) -> RemoteReader:
        """Return a handle that asks for the same features each time."""
        return RemoteReader(self, features, full_feature_names=full_feature_names)

    # ---- writing -------------------------------------------------------------------------------------------------

    def push(
        self, push_source_name: str, df: Any, *, to: str = "both", idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Add rows to the views of a source: to the event log that training reads, and online where they are newest.

        Args:
            push_source_name: a push source or a view.
            df: rows, in any form of `get_online_features`, with keys, event timestamp and features.
            to: ``"both"``, ``"online"`` or ``"offline"``.
            idempotency_key: names the push; a new name by default, which all tries of this call share.

        Returns:
            What became of the rows: ``rows``, ``views`` and ``idempotency_key``.
        """
        key = idempotency_key or uuid.uuid4().hex
        body = {"push_source_name": push_source_name, "df": pushed(df), "to": to, "idempotency_key": key}
        return self._told("/push", body)  # type: ignore[no-any-return]  # The server's object.

    def write_to_online_store(self, feature_view_name: str, df: Any) -> dict[str, Any]:
        """Put rows of one view online, where they are the newest, and nowhere else: training never sees them."""
        body = {"feature_view_name": feature_view_name, "df": pushed(df)}
        return self._told("/write-to-online-store", body)  # type: ignore[no-any-return]  # As above.

    def materialize(
        self,
        start_date: datetime | date | str,
        end_date: datetime | date | str,
        feature_views: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Have a range of time published; returns when that is done, with what became of each view."""
        body = {"start_ts": _moment(start_date), "end_ts": _moment(end_date), "feature_views": feature_views}
        return self._told("/materialize", body, is_long=True)  # type: ignore[no-any-return]  # As above.

    def materialize_incremental(
        self, end_date: datetime | date | str | None = None, feature_views: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Have what is missing up to a moment published, by default up to now."""
        body = {"end_ts": None if end_date is None else _moment(end_date), "feature_views": feature_views}
        return self._told("/materialize-incremental", body, is_long=True)  # type: ignore[no-any-return]  # As above.

    def _told(self, path: str, body: Mapping[str, Any], *, is_long: bool = False) -> Any:
        return msgspec.json.decode(self._connection.send(path, body, headers=_TELL, is_long=is_long))

    # ---- life ----------------------------------------------------------------------------------------------------

    def is_ready(self) -> bool:
        """Return whether the server answers, and the stores behind it."""
        return self._connection.is_ready()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class RemoteReader:
    """Asks a server for the same features each time.

    Args:
        client: of the server.
        features: as for `Client.get_online_features`.
        full_feature_names: name columns ``<view>__<feature>``.
    """

    def __init__(self, client: Client, features: str | Sequence[str], *, full_feature_names: bool = False) -> None:
        self._client = client
        self._features = features if isinstance(features, str) else list(features)
        self._full = full_feature_names

    def read(self, entity_rows: Any) -> OnlineAnswer:
        """Return the features of the entities; see `Client.get_online_features`."""
        return self._client.get_online_features(self._features, entity_rows, self._full)


def _moment(value: datetime | date | str) -> str:
    """Return an instant as text, UTC where it is naive; a date is its midnight.

    Example:
        >>> _moment("2024-05-01"), _moment(date(2024, 5, 1))
        ('2024-05-01T00:00:00+00:00', '2024-05-01T00:00:00+00:00')
    """
    text = value if isinstance(value, str) else value.isoformat()
    moment = datetime.fromisoformat(text)
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).isoformat()
