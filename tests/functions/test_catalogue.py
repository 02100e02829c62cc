from __future__ import annotations

import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from featurestore import FeatureStore, Numeric
from featurestore.errors import UnknownNameError
from featurestore.materializer.memory import MemoryMaterializer

CONNECTION = threading.Lock()
LIMIT = 18


def events() -> pl.LazyFrame:
    with CONNECTION:
        return pl.LazyFrame({"user_id": [1], "n": [LIMIT]})


def described(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.n_events", entity="user_id", tags=["a<b"])
    def n_events(when: datetime, app: str = "<script>") -> pl.LazyFrame:
        """Count <events> & more.

        Args:
            when: the end.

        Maintainer: Ana <ana@example.org>
        Status: stable
        """
        return events()

    @fs.register_feature(name="tests.ratio")
    def ratio(when: datetime) -> pl.LazyFrame:
        return n_events(when)


def test_features_lists_them_by_name(fs: FeatureStore) -> None:
    assert repr(fs.features()) == "no features: decorate a function with @fs.register_feature"
    described(fs)
    features = fs.features()
    assert [each.qualified_name for each in features] == ["tests.n_events", "tests.ratio"]
    head, first, second = repr(features).splitlines()
    assert head.split() == ["feature", "kind", "parameters", "entity", "status", "owner", "summary"]
    assert first.split()[:6] == ["tests.n_events", "as-of", "when,", "app", "user_id", "stable"]
    assert second.startswith("tests.ratio")
    assert features[0].name == "n_events"
    assert len(features[:1]) == 1


def test_describe_shows_docs_parameters_schema_lineage_and_materializations(
    fs: FeatureStore, memory: MemoryMaterializer
) -> None:
    described(fs)
    fs.add_decorator(memory.decorator)
    memory.materialize("n_events", when=datetime(2024, 5, 1))
    text = repr(fs.describe("n_events"))
    for part in (
        "tests.n_events  [as-of]",
        "Count <events> & more.",
        "when: datetime.datetime - the end.",
        "app: str = '<script>'",
        "user_id: Int64",
        "Ana <ana@example.org>",
        "downstream    tests.ratio",
        "tests.functions.test_catalogue.events",
        "LIMIT",
        "when=2024-05-01T00:00:00: 1 row, stored 2024-06-01 00:00:00 UTC",
        "test_catalogue.py:",
    ):
        assert part in text
    assert "upstream      tests.n_events" in repr(fs.describe("ratio"))


def test_opaque_globals_are_listed(fs: FeatureStore) -> None:
    described(fs)
    opaque = fs.describe("n_events").opaque
    assert any("CONNECTION" in each for each in opaque)


def test_a_stale_materialization_is_marked(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    fs.config.interactive = True
    fs.add_decorator(memory.decorator)
    for value in (1, 2):

        @fs.register_feature(name="tests.f")
        def f(value: int = value) -> dict[int, int]:
            return {1: value}

        if value == 1:
            memory.materialize(f)
    assert fs.describe("f").materializations[0].endswith("(stale)")


def test_html_is_escaped(fs: FeatureStore) -> None:
    described(fs)
    feature = fs.features()[0]
    for page in (fs.features()._repr_html_(), fs.describe(feature)._repr_html_(), feature._repr_html_()):
        assert "tests.n_events" in page
        for raw in ("<script>", "<events>", "<ana@", "a<b"):
            assert raw not in page
    assert "Count &lt;events&gt; &amp; more." in fs.describe(feature)._repr_html_()


def test_a_feature_prints_name_signature_and_summary(fs: FeatureStore) -> None:
    described(fs)
    assert repr(fs.features()[0]).startswith("<feature tests.n_events(when")
    assert "Count <events>" in repr(fs.features()[0])


def test_an_unknown_feature_suggests_the_nearest(fs: FeatureStore) -> None:
    described(fs)
    for ask in (fs.describe, fs.lineage):
        with pytest.raises(UnknownNameError, match="did you mean 'n_events'"):
            ask("n_event")


def test_a_schema_is_known_from_declaration_result_or_earlier_call(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.said", schema={"n": pl.Int8, "m": float})
    def said() -> dict[int, int]:
        return {}

    @fs.register_feature(name="tests.seen", entity="id")
    def seen() -> dict[int, str]:
        return {1: "a"}

    assert fs.describe(said).schema == {"n": "Int8", "m": "float"}
    assert fs.describe(seen).schema == {}
    fs.get_features(seen)
    assert fs.describe(seen).schema == {"id": "Int64", "seen": "String"}


def test_describe_shows_what_was_declared(fs: FeatureStore) -> None:
    @fs.register_feature(every="1d", ttl="7d", max_age="90m", value_type=Numeric(min=0))
    def f(when: datetime) -> dict[int, int]:
        return {1: 1}

    lines = (
        "options       value_type: Numeric(min=0, max=None)",
        "ttl: 7 days",
        "every: 1 day",
        "max_age: 1:30:00",
    )
    assert "\n                ".join(lines) in repr(fs.describe(f))


def test_the_helpers_of_a_script_are_named_as_its_features_are(tmp_path: Path) -> None:
    script = tmp_path / "tour.py"
    script.write_text("""
import featurestore as fs
def events(): return {1: 1}
@fs.register_feature(name="other.n")
def n(): return events()
print(fs.describe(n).helpers)
""")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "('tour.events',)"
