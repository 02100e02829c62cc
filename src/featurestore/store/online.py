"""The online side of a store: reads at the speed of what is underneath, and pushes."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurestore.declare.feature import Feature
from featurestore.declare.source import KafkaSource, PushSource
from featurestore.declare.view import FeatureView
from featurestore.instants import MAX_CLOCK_SKEW, Clock, to_duration
from featurestore.planning.applying import gone_views, retyped_features
from featurestore.repository.changes import Change
from featurestore.store.materialization import Materializing

if TYPE_CHECKING:
    from featurestore.log.parquet import EventLog
    from featurestore.online.base import OnlineStore
    from featurestore.run.checking import Check
    from featurestore.run.following import Following
    from featurestore.run.online import Online
    from featurestore.run.pushing import PushResult
    from featurestore.run.responses import OnlineResponse
    from featurestore.run.serving import OnlineReader
    from featurestore.run.skew import SkewReport
    from featurestore.run.training import Context

__all__ = ["Serving"]

_PROBE = b"\x00ready\x00\x00"
"""A key that no view has: an online store that looks for it is there, and nothing of it is changed."""
_MOST_READERS = 256
"""Kept of requests that come again; all are forgotten where there are more."""


class Serving(Materializing):
    """What a store answers and takes online."""

    clock: Clock
    _readers: dict[Any, tuple[OnlineReader, Any]]
    """Readers by what was asked for, with the objects in it, so that no other object gets their identity."""

    def _checks(self) -> Iterator[Check]:
        from featurestore.run.checking import check

        yield from super()._checks()
        yield check("online store", self._online_state)

    def _online_state(self) -> str:
        self.online_store.get([_PROBE])
        return f"{self.online_store!r} answers"

    # ---- reading -------------------------------------------------------------------------------------------------

    def get_online_features(self, features: Any, entity_rows: Any, full_feature_names: bool = False) -> OnlineResponse:
        """Return the newest values of features, for inference: one row out for every row in, in their order.

        They are what `get_historical_features` would answer for labels of now, given what was materialized and
        pushed. For hot paths, `online_reader` works out once what the features mean.

        Args:
            features: references, as for `get_historical_features`: ``"view:feature"``, ``"view"``, views, services,
                registered functions, and names of services and functions; several of them in a list.
            entity_rows: a list of dicts, a dict of lists, or a pandas, Polars or Arrow frame, with the join keys, and
                what on-demand views take from the request. Other columns are passed over.
            full_feature_names: name columns ``<view>__<feature>``.

        Returns:
            A response: ``.to_dict()``, ``.to_df()``, ``.to_polars()``, ``.to_arrow()``, ``.to_numpy()``,
            ``.statuses`` and more. Unknown, null and NaN keys have nulls and the status ``NOT_FOUND``.

        Raises:
            UnknownNameError: a view, feature or service that does not exist; suggests the nearest.
            MissingColumnError: a join key is missing; names the row.
            FrameError: rows of no known kind, or a key of a wrong type; names the row.
            StoreUnavailableError: the online store does not answer.
        """
        return self._reader(features, full=full_feature_names).read(entity_rows)

    async def get_online_features_async(
        self, features: Any, entity_rows: Any, full_feature_names: bool = False
    ) -> OnlineResponse:
        """Return what `get_online_features` does, without blocking the event loop."""
        import asyncio

        reader = self._known_reader(features, full=full_feature_names)
        if reader is None:
            reader = await asyncio.to_thread(self._reader, features, full=full_feature_names)
        return await reader.read_async(entity_rows)

    def online_reader(self, features: Any, full_feature_names: bool = False) -> OnlineReader:
        """Return the prepared handle for hot paths: ``reader.read(entity_rows)`` is one look-up.

        Threads and forked children can share it, and it follows what is applied and materialized meanwhile.

        Args:
            features: as for `get_online_features`.
            full_feature_names: name columns ``<view>__<feature>``.

        Raises:
            UnknownNameError: a view, feature or service that does not exist; suggests the nearest.
        """
        from featurestore.run.serving import OnlineReader

        return OnlineReader(self._followed, features, full_feature_names=full_feature_names)

    def keep_up(self) -> None:
        """Look now at what was applied and materialized, so that reads of the next second need not.

        Reads follow by themselves. This is for servers, whose event loop should not wait for a registry: a thread that
        calls it twice a second does the looking.
        """
        self._followed.keep_up()

    @property
    def failed_computations(self) -> dict[str, int]:
        """On how many rows functions of computed features have failed while features were served, by their name.

        Such rows are answered with null and the status ``ERROR``; ``response.errors`` says what happened.
        """
        return dict(self._session.failed)

    # ---- writing -------------------------------------------------------------------------------------------------

    def push(
        self,
        push_source_name: str | PushSource | KafkaSource | FeatureView | Feature[..., Any],
        df: Any,
        *,
        to: Any = "both",
        idempotency_key: str | None = None,
        max_clock_skew: str | timedelta | None = None,
    ) -> PushResult:
        """Add rows to the views of a source: to the event log that training reads, and online where they are newest.

        Everything is checked before anything is written. A row never replaces a greater one, whatever the order of
        pushes, and the same rows again change nothing.

        Args:
            push_source_name: a push or Kafka source, a view or a registered function, or the name of one.
            df: a frame of any kind with the join keys, the event timestamp and the features. Without a column that
                says when each row became known, that is now.
            to: ``"both"``, ``"online"`` (which training never sees) or ``"offline"``.
            idempotency_key: names the push, so that repeating it adds nothing to the log.
            max_clock_skew: how far ahead of now rows may be dated; as the settings say by default, else five minutes.

        Returns:
            For each view how many rows were logged, and how many online rows they became.

        Raises:
            UnknownNameError: nothing bears the name; suggests the nearest.
            ParameterError: no such ``to``, or a key that was used for other rows.
            FrameError: rows that cannot stand; names the first. Nothing was written.
            StoreUnavailableError: the log or the online store does not answer; says what was written. Push again.
        """
        from featurestore.run.pushing import push

        skew = self._skew(max_clock_skew)
        with self.active():
            return push(
                self._online(), push_source_name, df, to=to, idempotency_key=idempotency_key, max_clock_skew=skew
            )

    def write_to_online_store(
        self,
        feature_view_name: str | FeatureView | Feature[..., Any],
        df: Any,
        *,
        max_clock_skew: str | timedelta | None = None,
    ) -> PushResult:
        """Put rows of one view online, where they are the newest, and nowhere else: training never sees them.

        Raises as `push` does.
        """
        from featurestore.run.pushing import write_to_online_store

        with self.active():
            return write_to_online_store(
                self._online(), feature_view_name, df, max_clock_skew=self._skew(max_clock_skew)
            )

    def types_of_pushes(self, push_source_name: str) -> dict[str, str]:
        """Return what is known of the types of rows that are pushed: of keys and features, as text such as ``"Date"``.

        This is for servers, which get as text what JSON has no form for.

        Raises:
            UnknownNameError: nothing bears the name; suggests the nearest.
        """
        from featurestore.run.pushing import types_of_pushes

        with self.active():
            return types_of_pushes(self._online(), push_source_name)

    def _skew(self, given: str | timedelta | None) -> timedelta:
        if given is not None:
            return to_duration(given)
        return MAX_CLOCK_SKEW if self.settings is None else self.settings.max_clock_skew

    # ---- comparing -----------------------------------------------------------------------------------------------

    def skew(self, views: Sequence[Any] | None = None, *, sample: int = 1000, seed: int | None = None) -> SkewReport:
        """Compare what serving answers now with what training would say of now, for random entities of each view.

        Entities are drawn from the view's history, so one that was only ever pushed ``to="online"`` is not met.

        Args:
            views: names, views and registered functions; by default all that can be online.
            sample: entities of each view.
            seed: draws the same entities again.

        Returns:
            For each view how many are equal to the last bit, differ, are missing online, or stale, with examples.

        Raises:
            UnknownNameError: nothing bears a name; suggests the nearest.
            StoreUnavailableError: the online store does not answer.

        Example:
            >>> import featurestore as fs
            >>> @fs.register_feature(name="docs.seen", entity="user", timeless=True, schema={"seen": fs.types.Int64})
            ... def seen() -> dict[int, int]:
            ...     return {1: 3, 2: 4}
            >>> print(fs.skew([seen], sample=10))
            docs.seen: 2 entities, 0 equal, 0 differing, 2 missing, 0 stale
        """
        from featurestore.run.skew import skew

        with self.active():
            return skew(
                self._online(), lambda view, keys: self.online_reader(view).read(keys), views, sample=sample, seed=seed
            )

    # ---- parts ---------------------------------------------------------------------------------------------------

    def _reader(self, features: Any, *, full: bool) -> OnlineReader:
        known = self._known_reader(features, full=full)
        if known is not None:
            return known
        reader = self.online_reader(features, full)
        if len(self._readers) >= _MOST_READERS:
            self._readers.clear()
        self._readers[_identity(features, full)] = reader, features
        return reader

    def _known_reader(self, features: Any, *, full: bool) -> OnlineReader | None:
        found = self._readers.get(_identity(features, full))
        return None if found is None else found[0]

    @property
    def online_store(self) -> OnlineStore:
        """Where the newest rows are, opened when it is first asked for."""
        from featurestore.store.opening import open_online_store

        found: OnlineStore | None = self.__dict__.get("_online_store")
        if found is None:
            said: Mapping[str, Any] = self.settings.online_store if self.settings is not None else {}
            options = said or ({"type": "memory"} if self._in_memory else {})
            opened = open_online_store(options, self.project, self.base)
            found = self.__dict__.setdefault("_online_store", opened)  # One, if two threads come here at once.
        return found

    @property
    def _event_log(self) -> EventLog:
        """Rows that were pushed: in the repository's folder; of a project in memory for as long as the store lives."""
        found: EventLog | None = self.__dict__.get("_log")
        if found is None:
            from featurestore.log.parquet import EventLog

            found = self.__dict__.setdefault("_log", EventLog(self._log_folder()))
        return found

    def _log_folder(self) -> Path:
        if not self._in_memory:
            return self.base / ".featurestore" / "log"
        scratch = tempfile.TemporaryDirectory(prefix="featurestore-log-", ignore_cleanup_errors=True)
        weakref.finalize(self, scratch.cleanup)
        return Path(scratch.name)

    @property
    def _in_memory(self) -> bool:
        """Whether the project lives in the memory of this process."""
        return self.settings is None or (self.settings.file is None and self.settings.registry is None)

    @property
    def _followed(self) -> Following:
        """What is in force, for all readers of the store."""
        found: Following | None = self.__dict__.get("_following")
        if found is None:
            from featurestore.run.following import Following

            found = self.__dict__.setdefault("_following", Following(self.registry, self._newest_online))
        return found

    def _newest_online(self) -> Online:
        newest, known = self._newest(), self._loaded
        # Where nothing is new the objects stay the same too, by which readers are found again.
        if known is None or (known[1], known[0].code) != (newest[1], newest[0].code):
            self._loaded = newest
        return self._online()

    def _online(self) -> Online:
        """Return what online work needs."""
        from featurestore.run.online import Online

        log = self._event_log
        return Online(self._context(), self.registry, self.online_store, log, self.clock)

    def _context(self) -> Context:
        # Of a project in memory there is a log only once somebody could have pushed.
        log = self.__dict__.get("_log") if self._in_memory else self._event_log
        return replace(super()._context(), log=log)

    # ---- life ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Give back what is open, such as connections of the online store. A later call opens it again."""
        opened: OnlineStore | None = self.__dict__.get("_online_store")
        if opened is not None:
            opened.close()

    def _follow_up(self, made: Iterable[Change]) -> None:
        gone = gone_views(made)
        if gone or self.registry.keys("online/"):
            from featurestore.run.forgetting import forget, forget_orphans

            online = self._online()
            forget(online, gone)
            forget_orphans(online)  # What somebody else removed, and died.
            self._retype(online, made)

    @staticmethod
    def _retype(online: Online, made: Iterable[Change]) -> None:
        """Let features that changed their type be read and pushed in the new one."""
        from featurestore.run.online import online_views

        features = retyped_features(made, online_views(online.registry).views)
        if features:
            from featurestore.run.layouts import retype

            retype(online, features)


def _identity(features: Any, full: bool) -> Any:
    """Return what two equal requests have in common: names, and objects as such."""
    several = features if isinstance(features, list | tuple) else (features,)
    return full, tuple(each if isinstance(each, str) else id(each) for each in several)
