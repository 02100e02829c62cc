"""Functions of plain Python values, called on lists without any frame: what is quickest for a few rows.

Training datasets call them by the same code, so that a value is the same in both, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.errors import FeatureStoreError, FrameError, MissingColumnError
from featurestore.frames.typed import Taker, taker
from featurestore.run.failing import Fail, computation_error, first_failing

__all__ = ["by_lists", "by_row", "by_rows"]

Columns: TypeAlias = Mapping[str, list[Any]]
Run: TypeAlias = Callable[[Columns, int, "Fail | None"], list[list[Any]]]
Takers: TypeAlias = Sequence[tuple[str, Taker]]
_NOTHING: Any = object()


# ---- on-demand views ---------------------------------------------------------------------------------------------


def by_rows(view: OnDemandFeatureView) -> Run:
    """Return what makes a column for each feature of a view of mode python whose function takes one row.

    It is called with what the function is handed, by name; the number of rows; and what takes note of rows on which
    the function fails, which get nulls (``None``: the first one is raised).
    """
    function, takers = view.function, _takers(view)

    def run(inputs: Columns, height: int, fail: Fail | None) -> list[list[Any]]:
        names = tuple(inputs)
        made: list[list[Any]] = []
        for values in _rows(inputs, height):
            answer = _NOTHING
            try:
                answer = function(dict(zip(names, values, strict=True)))
                row = [take(answer[name]) for name, take in takers]
            except Exception as error:  # Whatever a function of a user raises.
                told = _told(view, answer, len(made), dict(zip(names, values, strict=True)), error)
                if fail is None:
                    raise told from error
                fail(len(made), told)
                row = [None] * len(takers)
            made.append(row)
        return [list(column) for column in zip(*made, strict=True)] if made else [[] for _ in takers]

    return run


def by_lists(view: OnDemandFeatureView) -> Run:
    """Return what `by_rows` does for a view whose function takes lists."""
    takers = _takers(view)

    def run(inputs: Columns, height: int, fail: Fail | None) -> list[list[Any]]:
        def part(start: int, stop: int) -> list[list[Any]]:
            handed = {name: values[start:stop] for name, values in inputs.items()}
            return _of_lists(view, takers, view.function(handed), stop - start)

        try:
            return part(0, height)
        except Exception as error:  # Whatever a function of a user raises.
            if fail is None:
                raise _located(view, part, inputs, height, error) from error
            return _singly(view, part, inputs, height, fail)

    return run


def _singly(
    view: OnDemandFeatureView, run: Callable[[int, int], list[list[Any]]], inputs: Columns, height: int, fail: Fail
) -> list[list[Any]]:
    """Compute row by row, so that a row on which the function fails spoils no other."""
    made: list[list[Any]] = [[] for _ in view.schema]
    for number in range(height):
        try:
            row = run(number, number + 1)
        except Exception as error:  # noqa: BLE001  Whatever a function of a user raises.
            handed = {name: values[number] for name, values in inputs.items()}
            fail(number, computation_error(_name(view), number, handed, error))
            row = [[None]] * len(made)
        for column, values in zip(made, row, strict=True):
            column.extend(values)
    return made


def _located(
    view: OnDemandFeatureView, run: Callable[[int, int], Any], inputs: Columns, height: int, error: Exception
) -> FeatureStoreError:
    if isinstance(error, FeatureStoreError):
        return error
    number, found = first_failing(run, height, error)
    return computation_error(_name(view), number, {name: values[number] for name, values in inputs.items()}, found)


def _of_lists(view: OnDemandFeatureView, takers: Takers, answer: Any, height: int) -> list[list[Any]]:
    if not isinstance(answer, Mapping):
        raise _no_mapping(view, answer, "a mapping of feature to list of values")
    made = []
    for name, take in takers:
        if name not in answer:
            raise MissingColumnError.among(name, answer, where=f"the result of {_name(view)}")
        values = list(answer[name])
        if len(values) != height:
            raise FrameError(
                f"{_name(view)} returned another number of rows",
                found=str(len(values)),
                expected=str(height),
                fix="return one value for each row, in the same order",
            )
        try:
            made.append([take(value) for value in values])
        except (TypeError, ValueError, OverflowError) as error:
            raise _other_type(view, name, error) from error
    return made


def _taken(view: OnDemandFeatureView, name: str, take: Taker, value: Any) -> Any:
    try:
        return take(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _other_type(view, name, error) from error


def _told(
    view: OnDemandFeatureView, answer: Any, number: int, inputs: Mapping[str, Any], error: Exception
) -> FeatureStoreError:
    """Return what was wrong: the function failed, or returned what it did not declare."""
    if answer is _NOTHING:
        return computation_error(_name(view), number, inputs, error)
    if not isinstance(answer, Mapping):
        return _no_mapping(view, answer, "a mapping of feature to value")
    missing = [field.name for field in view.schema if field.name not in answer]
    if missing:
        return MissingColumnError.among(missing[0], answer, where=f"the result of {_name(view)}")
    for name, take in _takers(view):
        try:
            _taken(view, name, take, answer[name])
        except FrameError as misfit:
            return computation_error(_name(view), number, inputs, misfit)
    return computation_error(_name(view), number, inputs, error)


def _same(value: Any) -> Any:
    return value


def _other_type(view: OnDemandFeatureView, name: str, error: Exception) -> FrameError:
    declared = next(field.dtype for field in view.schema if field.name == name)
    return FrameError(
        f"{_name(view)} returned {name!r} of another type than it declares",
        found=str(error),
        expected=str(declared),
        fix="declare the type that the function returns, or convert there",
    )


def _no_mapping(view: OnDemandFeatureView, answer: object, expected: str) -> FrameError:
    return FrameError(
        f"{_name(view)} of mode {view.mode} returned no table",
        found=f"{answer!r:.80} ({type(answer).__name__})",
        expected=expected,
    )


def _takers(view: OnDemandFeatureView) -> list[tuple[str, Taker]]:
    return [(field.name, taker(field.dtype) or _same) for field in view.schema]


def _name(view: OnDemandFeatureView) -> str:
    return f"on-demand feature view {view.name!r}"


def _rows(inputs: Columns, height: int) -> Iterator[tuple[Any, ...]]:
    return zip(*inputs.values(), strict=True) if inputs else iter([()] * height)


# ---- column functions --------------------------------------------------------------------------------------------


def by_row(
    what: str,
    function: Callable[..., Any],
    columns: Columns,
    params: Mapping[str, Any],
    *,
    take: Taker | None,
    fail: Fail | None = None,
) -> list[Any]:
    """Return what a function of plain values makes of each row.

    Args:
        what: its name in messages.
        function: gets the values of a row by the names of ``columns``, and ``params``.
        columns: lists of one length, at least one.
        params: the same for all rows.
        take: makes each result one of the declared type.
        fail: as for `by_rows`.
    """
    names = tuple(columns)
    made: list[Any] = []
    for number, values in enumerate(zip(*columns.values(), strict=True)):
        try:
            value = function(**dict(zip(names, values, strict=True)), **params)
            made.append(value if take is None else take(value))
        except Exception as error:  # Whatever a function of a user raises.
            told = computation_error(what, number, dict(zip(names, values, strict=True)), error)
            if fail is None:
                raise told from error
            fail(number, told)
            made.append(None)
    return made
