"""The exam of offline engines. Subclass it, give a fixture ``engine``, done.

    class TestMyEngine(EngineConformance):
        @pytest.fixture
        def engine(self) -> Engine:
            return MyEngine()

Every case is answered by `featurestore.testing.reference`, which is slow and obvious; generated ones as many as the
Hypothesis profile says, at least 500.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from polars.testing import assert_frame_equal

from featurestore.engines.base import Engine
from featurestore.planning.order import canonical_bytes
from featurestore.testing import reference
from featurestore.testing.training_cases import TIME, Case, cases

if TYPE_CHECKING:
    import polars as pl

__all__ = ["EngineConformance", "assert_agrees"]

_EXAMPLES = max(500, settings().max_examples)
_GENERATED = settings(
    max_examples=_EXAMPLES,
    deadline=None,
    # An engine keeps nothing between calls, and one exam is written for many subclasses.
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
    ],
)


class EngineConformance:
    """What every engine must do."""

    @_GENERATED
    @given(case=cases())
    def test_agrees_with_the_reference_over_frames(self, engine: Engine, case: Case) -> None:
        assert_agrees(engine, case)

    @_GENERATED
    @given(case=cases())
    def test_agrees_with_the_reference_over_parquet_files(self, engine: Engine, case: Case) -> None:
        with tempfile.TemporaryDirectory() as folder:
            assert_agrees(engine, case, Path(folder))


def assert_agrees(engine: Engine, case: Case, folder: Path | None = None) -> None:
    """Assert that ``engine`` answers ``case`` as the reference does, to the bit."""
    plan = case.plan(folder)
    answer = engine.join(plan)
    rows = {name: source.rows for name, source in case.sources.items()}
    expected = reference.join(case.label_rows, TIME, case.views, rows)
    assert_frame_equal(answer.select(case.labels.columns), case.labels)
    assert answer.columns == [*case.labels.columns, *case.order]
    for view in case.views:
        for output in view.outputs:
            _assert_same(answer.get_column(output), [row[output] for row in expected])
        for one in view.selected:
            stored = {new: old for old, new in view.scan.renames}.get(one.field, one.field)
            assert answer.schema[one.output] == case.sources[view.scan.source].frame.schema[stored]


def _assert_same(answer: pl.Series, expected: Sequence[object]) -> None:
    assert [canonical_bytes(value) for value in answer.to_list()] == [canonical_bytes(value) for value in expected], (
        f"{answer.name}: {answer.to_list()} is not {list(expected)}"
    )
