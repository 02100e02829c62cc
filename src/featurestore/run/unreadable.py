"""Sources that cannot be read: what Polars, the system or an object store says, as an error that tells what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import polars as pl

from featurestore.declare.source import FileSource
from featurestore.errors import ConfigurationError, FeatureStoreError, FrameError, StoreUnavailableError

__all__ = ["reading", "reading_rows", "reading_together", "unreadable"]

_CREDENTIALS = (
    "accessdenied",
    "credential",
    "forbidden",
    "invalidaccesskeyid",
    "signaturedoesnotmatch",
    "unauthorized",
    "169.254.169.254",  # Where a machine in the cloud is told its role: looked for where there are no credentials.
)
_UNREACHABLE = ("error sending request", "connection refused", "timed out", "dns error")
_CHANGED = (
    "check the files, which must not change while they are read, and the function that reads them; then do it again"
)
_NAIVE = (
    "naive times mean UTC, and `when` is naive unless the caller's times have a zone: "
    "pl.lit(when).dt.replace_time_zone('UTC') compares with columns that have one"
)
_ABSENT = ("nosuchkey", "not found", "expanded paths were empty")


def unreadable(source: FileSource, error: Exception) -> FeatureStoreError:
    """Return the error that says why ``source`` cannot be read, given what reading it raised."""
    place = source.path.partition("?")[0]  # What follows may be a signature.
    if "://" not in place:
        return ConfigurationError(
            f"source {source.name!r} cannot be read",
            found=f"{type(error).__name__}: {error}",
            expected=f"{source.format} at {place}",
            fix="check the path and the file's format",
        )
    return _unreadable_object(source, place, error)


def _unreadable_object(source: FileSource, place: str, error: Exception) -> FeatureStoreError:
    said = str(error).lower()
    at = f" at {source.s3_endpoint_override}" if source.s3_endpoint_override else ""
    if "nosuchbucket" in said:
        return ConfigurationError(
            f"source {source.name!r} is in a bucket that does not exist",
            found=f"no bucket {place.partition('://')[2].partition('/')[0]!r}{at}",
            expected=f"{source.format} at {place}",
            fix="check the bucket's name, its region (AWS_REGION) and the endpoint (s3_endpoint_override=)",
        )
    if any(word in said for word in _CREDENTIALS):
        return ConfigurationError(
            f"source {source.name!r} may not be read: the object store takes no such credentials",
            found=f"none, or others than it accepts, for {place}{at}",
            expected="credentials in the environment, in ~/.aws, or of the machine's role",
            fix="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what the store's own tools use, with the right to "
            "list and get",
        )
    if any(word in said for word in _UNREACHABLE):
        return StoreUnavailableError(
            f"the object store of source {source.name!r} does not answer",
            found=f"nothing{at} for {place}",
            expected="an endpoint that can be reached",
            fix="check the network and the endpoint (s3_endpoint_override= of the source, or AWS_ENDPOINT_URL)",
        )
    if any(word in said for word in _ABSENT):
        return ConfigurationError(
            f"source {source.name!r} has no files",
            found=f"nothing at {place}{at}",
            expected=f"an object, or a pattern of objects, of {source.format}",
            fix="check the key: below a prefix all objects are s3://bucket/prefix/**/*.parquet",
        )
    return ConfigurationError(
        f"source {source.name!r} cannot be read",
        found=f"{type(error).__name__}: {str(error).partition('<')[0].strip()}",
        expected=f"{source.format} at {place}",
        fix="check the format, and for the object store credentials and endpoint",
    )


# ---- who reads ----------------------------------------------------------------------------------------------------


def reading(source: FileSource) -> AbstractContextManager[None]:
    """Say of which source it is what Polars or the system cannot read.

    Raises:
        ConfigurationError: in the place of any such error.
        StoreUnavailableError: an object store does not answer.
    """
    return _translating(partial(unreadable, source))


def reading_rows(source: str) -> AbstractContextManager[None]:
    """Say of which source, or function, it is what Polars cannot read when the rows are collected at last.

    Raises:
        ConfigurationError: in the place of any such error.
    """
    return _translating(
        lambda error: ConfigurationError(
            f"the rows of {source!r} cannot be read",
            found=f"{type(error).__name__}: {_first_line(error)}",
            expected="rows of the columns and types that it had when it was opened",
            fix=_NAIVE if _is_of_times(error) else _CHANGED,
        )
    )


def reading_together(sources: Iterable[str]) -> AbstractContextManager[None]:
    """Say which sources were read when Polars met something in one of them that it cannot read.

    Raises:
        FrameError: in the place of any such error.
    """
    return _translating(
        lambda error: FrameError(
            "a source cannot be read as declared",
            found=_first_line(error),
            expected=f"readable rows in {', '.join(dict.fromkeys(sources))}",
            fix="write times as ISO 8601; unite files that differ by union_by_name=True; change none meanwhile",
        )
    )


@contextmanager
def _translating(error_of: Callable[[Exception], FeatureStoreError]) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        raise error_of(error) from error


def _is_of_times(error: Exception) -> bool:
    return isinstance(error, pl.exceptions.SchemaError) and "Datetime(" in _first_line(error)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
