"""How declarations show themselves."""

from __future__ import annotations

from featurestore import FeatureService, FeatureView, Field, FileSource, agg, types

SOURCE = FileSource("stats.parquet", timestamp_field="at")


def test_what_is_left_to_its_default_is_not_shown() -> None:
    view = FeatureView("stats", SOURCE, [Field("rates", types.Array(types.Float64))], ["driver"])
    assert repr(view) == (
        "FeatureView(name='stats', source=FileSource(path='stats.parquet', name='stats', timestamp_field='at', "
        "format='parquet', separator=','), schema=(Field(name='rates', dtype=Array(Float64)),), entities=('driver',))"
    )


def test_what_is_said_against_the_default_is_shown() -> None:
    assert "online=False" in repr(FeatureView("stats", SOURCE, online=False))
    assert "missing=0" in repr(agg.lag("sold", 1, every="1d", missing=0))
    assert repr(FeatureService("v1", [FeatureView("stats", SOURCE)[["rate"]]])).endswith("features=('rate',)),))")
