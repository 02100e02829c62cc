"""The online half of Feast's ``FeatureStore``: its methods and signatures, over those of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import featurestore
from featurestore.errors import FrameError, MissingColumnError, ParameterError
from featurestore.feast._entity_rows import understood
from featurestore.feast._refusal import left_undone, not_supported, require_unset
from featurestore.feast._translation import one_spelling
from featurestore.feast.data_source import PushMode
from featurestore.feast.online_response import OnlineResponse

__all__ = ["Instant", "Serving", "wanted"]

Instant = datetime | date | str

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_READERS = 256
_VERSION = "leave it out: every apply is kept, see `featurestore registry log` and `rollback`"


class Serving:
    """What Feast's store answers and takes online."""

    store: featurestore.FeatureStore
    _readers: dict[Any, featurestore.OnlineReader]
    """Of references that were asked for with rows which had to be translated."""

    # ---- reading -------------------------------------------------------------------------------------------------

    def get_online_features(
        self,
        features: Any = None,
        entity_rows: Any = None,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
        feature_refs: Sequence[str] | None = None,
    ) -> OnlineResponse:
        """Return the newest values of features: one row out for every row in, in their order.

        A value that is older than its view's ttl is null, as it is in training sets; ``.statuses`` of the answer says
        so.

        Args:
            features: ``"view:feature"`` references, or a feature service.
            entity_rows: a list of dicts, or a dict of lists, with the join keys and what on-demand views take from the
                request. An entity's name may stand for its join key, which is warned of, and text for whole numbers.
            full_feature_names: name columns ``<view>__<feature>``.
            include_feature_view_version_metadata: not supported.
            feature_refs: ``features``, in an older spelling.

        Raises:
            UnknownNameError: a view or feature that does not exist; suggests the nearest.
            MissingColumnError: a join key is missing; names the row.
            FrameError: a key of a wrong type; names the row.
            ParameterError: no features.
            StoreUnavailableError: the online store does not answer.
        """
        asked = _asked(features, feature_refs, include_feature_view_version_metadata)
        try:
            return OnlineResponse(self.store.get_online_features(asked, entity_rows, full_feature_names))
        except (MissingColumnError, FrameError):
            reader, rows = self._understood(asked, entity_rows, full=full_feature_names)
            if rows is entity_rows:
                raise
        return OnlineResponse(reader.read(rows))

    async def get_online_features_async(
        self,
        features: Any = None,
        entity_rows: Any = None,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> OnlineResponse:
        """Return what `get_online_features` does, without blocking the event loop."""
        asked = _asked(features, None, include_feature_view_version_metadata)
        try:
            return OnlineResponse(await self.store.get_online_features_async(asked, entity_rows, full_feature_names))
        except (MissingColumnError, FrameError):
            reader, rows = await asyncio.to_thread(self._understood, asked, entity_rows, full=full_feature_names)
            if rows is entity_rows:
                raise
        return OnlineResponse(await reader.read_async(rows))

    def _understood(self, features: Any, rows: Any, *, full: bool) -> tuple[Any, Any]:
        reader = self._reader(features, full=full)
        return reader, understood(rows, reader.plan, self.store.list_entities())

    def _reader(self, features: Any, *, full: bool) -> featurestore.OnlineReader:
        """Return a reader, the one of before where names say all: who writes keys so once does so every time."""
        several = features if isinstance(features, list | tuple) else [features]
        if not all(isinstance(each, str) for each in several):
            return self.store.online_reader(features, full)
        asked = (full, *several)
        if asked not in self._readers:
            if len(self._readers) >= _MOST_READERS:
                self._readers.clear()
            self._readers[asked] = self.store.online_reader(features, full)
        return self._readers[asked]

    # ---- materializing -------------------------------------------------------------------------------------------

    def materialize(  # noqa: PLR0917  # Feast's signature.
        self,
        start_date: Instant | None = None,
        end_date: Instant | None = None,
        feature_views: Sequence[str] | None = None,
        disable_event_timestamp: bool = False,
        full_feature_names: bool = False,
        version: str | None = None,
        force: bool = False,
        run_async: bool = False,
    ) -> Any:
        """Publish a range of time to the online store: the newest row of each key, never instead of a newer one.

        Args:
            start_date: the first instant, UTC where naive.
            end_date: the last one, included. Nothing from after now is published.
            feature_views: names; by default all that are online.
            disable_event_timestamp: whether the range is all that there is. Rows keep their own event times.
            full_feature_names: decides nothing.
            version: not supported.
            force: decides nothing: a range can always be done again.
            run_async: accepted, and warned of.

        Returns:
            For each view the range, the rows that were read, and the keys that were written.

        Raises:
            ParameterError: no range, or one that ends before it starts.
            UnknownNameError: nothing bears a name; suggests the nearest.
            StoreUnavailableError: the online store does not answer. What was written stays; do it again.
        """
        del full_feature_names, force
        _require_plain("materialize()", version, run_async=run_async)
        if disable_event_timestamp:
            start_date, end_date = _FIRST, end_date if end_date is not None else self.store.clock.now()
        if start_date is None or end_date is None:
            raise ParameterError(
                "a range needs both ends",
                found="no start_date" if start_date is None else "no end_date",
                expected="the first and the last instant",
                fix="materialize_incremental(end_date) finds the start by itself",
            )
        return self.store.materialize(start_date, end_date, feature_views)

    def materialize_incremental(  # noqa: PLR0917  # Feast's signature.
        self,
        end_date: Instant | None = None,
        feature_views: Sequence[str] | None = None,
        full_feature_names: bool = False,
        version: str | None = None,
        force: bool = False,
        run_async: bool = False,
    ) -> Any:
        """Publish what is missing up to ``end_date``, by default up to now: the first time everything, not one year.

        The other arguments, the answer and the errors are those of `materialize`.
        """
        del full_feature_names, force
        _require_plain("materialize_incremental()", version, run_async=run_async)
        return self.store.materialize_incremental(end_date, feature_views)

    # ---- writing -------------------------------------------------------------------------------------------------

    def push(
        self,
        push_source_name: str,
        df: Any,
        allow_registry_cache: bool = True,
        to: PushMode = PushMode.ONLINE,
        transform_on_write: bool = True,
    ) -> Any:
        """Add rows to the views of a source. A row never replaces a newer one.

        As in Feast, they go online alone unless ``to`` says otherwise, and what is pushed so is never in a training
        set. The store's own ``push``, which `store.store` has, goes to both by default.

        Args:
            push_source_name: the source's; a view's does as well.
            df: a frame with the join keys, the event timestamp and the features.
            allow_registry_cache: whether what others have applied meanwhile may be missed.
            to: `PushMode.ONLINE`, `PushMode.OFFLINE` or `PushMode.ONLINE_AND_OFFLINE`. Offline is a log of the
                store's own: files of sources stay as they are.
            transform_on_write: decides nothing: on-demand views are computed when they are read.

        Returns:
            For each view how many rows were logged, and how many online rows they became.

        Raises:
            UnknownNameError: nothing bears the name; suggests the nearest.
            FrameError: rows that cannot stand; names the first. Nothing was written.
            StoreUnavailableError: the log or the online store does not answer. Push again.
        """
        del transform_on_write
        self._fresh(allow_cache=allow_registry_cache)
        return self.store.push(push_source_name, df, to=to)

    async def push_async(
        self,
        push_source_name: str,
        df: Any,
        allow_registry_cache: bool = True,
        to: PushMode = PushMode.ONLINE,
        transform_on_write: bool = True,
    ) -> Any:
        """Do what `push` does, without blocking the event loop."""
        return await asyncio.to_thread(self.push, push_source_name, df, allow_registry_cache, to, transform_on_write)

    def write_to_online_store(
        self,
        feature_view_name: str,
        df: Any = None,
        inputs: Mapping[str, Sequence[Any]] | Any = None,
        allow_registry_cache: bool = True,
        transform_on_write: bool = True,
    ) -> Any:
        """Put rows of one view online, where they are the newest. Training never sees them.

        Args:
            feature_view_name: the view's.
            df: a frame with the join keys, the event timestamp and the features.
            inputs: the same as a dict of lists, instead of ``df``.
            allow_registry_cache: as for `push`; as are the last argument, the answer and the errors.
            transform_on_write: decides nothing.
        """
        del transform_on_write
        self._fresh(allow_cache=allow_registry_cache)
        if (df is None) == (inputs is None):
            raise ParameterError(
                "write_to_online_store() takes rows once",
                found="neither df= nor inputs=" if df is None else "df= and inputs=",
                expected="one of them",
            )
        return self.store.write_to_online_store(feature_view_name, inputs if df is None else df)

    async def write_to_online_store_async(
        self,
        feature_view_name: str,
        df: Any = None,
        inputs: Mapping[str, Sequence[Any]] | Any = None,
        allow_registry_cache: bool = True,
        transform_on_write: bool = True,
    ) -> Any:
        """Do what `write_to_online_store` does, without blocking the event loop."""
        return await asyncio.to_thread(
            self.write_to_online_store, feature_view_name, df, inputs, allow_registry_cache, transform_on_write
        )

    def write_to_offline_store(
        self, feature_view_name: str, df: Any, allow_registry_cache: bool = True, reorder_columns: bool = True
    ) -> Any:
        """Add rows of one view to the history that training reads, and not online.

        Args:
            feature_view_name: the view's.
            df: a frame with the join keys, the event timestamp and the features.
            allow_registry_cache: as for `push`; as are the answer and the errors.
            reorder_columns: decides nothing: columns go by their names.
        """
        del reorder_columns
        self._fresh(allow_cache=allow_registry_cache)
        return self.store.push(feature_view_name, df, to=PushMode.OFFLINE)

    # ---- over HTTP -----------------------------------------------------------------------------------------------

    def serve(
        self,
        host: str = "127.0.0.1",
        port: int = 6566,
        type_: str = "http",
        no_access_log: bool = True,
        workers: int = 1,
        *,
        tls_key_path: str = "",
        tls_cert_path: str = "",
        **options: Any,
    ) -> None:
        """Serve the project over HTTP, on Feast's routes and more, until SIGTERM or SIGINT.

        Args:
            host: address to listen at. Beyond this machine only with API keys: ``featurestore keys create``.
            port: of it.
            type_: ``"http"``.
            no_access_log: whether requests get no line in the log.
            workers: how many processes answer.
            tls_key_path: private key in PEM, for HTTPS.
            tls_cert_path: its certificate chain.
            options: ``metrics``, ``keep_alive_timeout``, ``registry_ttl_sec`` and the like decide nothing: metrics are
                at ``/metrics``, and workers follow every apply within a second.

        Raises:
            ConfigurationError: it would listen beyond this machine without authentication.
            MissingDependencyError: granian is not installed.
        """
        del options
        if type_ != "http":
            raise not_supported(f"type_={type_!r} of serve()", instead="type_='http'", found=f"type_={type_!r}")
        settings = self.store.settings
        assert settings is not None, "the door opens to repositories alone, and these have settings"
        featurestore.serve(
            settings,
            host=host,
            port=port,
            workers=workers,
            tls_cert=Path(tls_cert_path) if tls_cert_path else None,
            tls_key=Path(tls_key_path) if tls_key_path else None,
            access_log=not no_access_log,
        )

    # ---- how -----------------------------------------------------------------------------------------------------

    def _fresh(self, *, allow_cache: bool) -> None:
        """See what others have applied meanwhile, where that is wanted."""
        if not allow_cache:
            self.store.refresh_registry()


def wanted(what: str, features: Any, feature_refs: Any) -> Any:
    """Return what is asked for, in whichever spelling.

    Raises:
        ParameterError: nothing is.
        RegistrationError: two spellings say different things.
    """
    asked = one_spelling(what, features=features, feature_refs=feature_refs)
    if not asked:
        raise ParameterError("no features are asked for", found="no features=", expected="references or a service")
    return asked


def _asked(features: Any, feature_refs: Any, versions: bool) -> Any:
    require_unset(
        "get_online_features()",
        instead="leave it out: every apply is kept, and store.store.registry_log() lists them",
        include_feature_view_version_metadata=versions,
    )
    return wanted("get_online_features()", features, feature_refs)


def _require_plain(what: str, version: str | None, *, run_async: bool) -> None:
    require_unset(what, instead=_VERSION, version=version)
    left_undone(what, instead="leave it out: it returns when all is written", run_async=run_async)
