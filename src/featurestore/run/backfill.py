"""Many results of one feature: the points of a grid that have none yet, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from featurestore.errors import ParameterError
from featurestore.materializer.base import Materializations, Materializer
from featurestore.repository.names import AnyFeature
from featurestore.run.results import materialize, points
from featurestore.run.session import Session

__all__ = ["materialize_range"]


def materialize_range(
    session: Session,
    materializer: Materializer,
    feature: AnyFeature,
    params: Mapping[str, Any],
    *,
    progress: bool,
) -> Materializations:
    """Materialize every combination of the grids and lists among ``params`` that has no fresh result.

    Each is stored on its own: an interruption loses the one in the making, and the next call goes on from there.

    Raises:
        ParameterError: no grid among the parameters.
    """
    todo = list(points(params))
    if len(todo) < 1 or not any(value is not todo[0][name] for name, value in params.items()):
        raise ParameterError(
            "a backfill needs a grid",
            found=", ".join(f"{name}={value!r}" for name, value in params.items()) or "no parameters",
            expected="a parameter with several values",
            fix=f"materializer.materialize_range({feature.name}, when=fs.every('1d', start, end))",
        )
    with _shown(feature.name, todo, visible=progress) as steps:
        return Materializations(materialize(session, materializer, feature, point, force=False) for point in steps)


@contextmanager
def _shown(title: str, todo: Sequence[dict[str, Any]], *, visible: bool) -> Iterator[Iterator[dict[str, Any]]]:
    """Show how far the steps are, on standard error, with rate and time left."""
    if not visible:
        yield iter(todo)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield iter(bar.track(todo, description=f"materializing {title}"))
