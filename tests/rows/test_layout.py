"""The document of layouts: numbers are given once, and nothing is lost on the way through the registry."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from featurestore.errors import ConfigurationError, UnsupportedValueError
from featurestore.rows.layout import Columns, Layout, OnlineView, OnlineViews

NAMES = st.sampled_from(["stats", "users", "features.events.n"])
COLUMNS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["Int64", "Float64", 'Enum("x, ")'])),
    max_size=3,
    unique_by=lambda column: column[0],
).map(tuple)
KEYS = st.sampled_from([(("id", "Int64"),), (("id", "String"),), (("id", "Int64"), ("day", "Date"))])


class Documents(RuleBasedStateMachine):
    """Changes a document at random, and remembers every number and layout that it ever gave."""

    def __init__(self) -> None:
        super().__init__()
        self.views = OnlineViews()
        self.owners: dict[int, tuple[str, Columns, bool]] = {}
        self.layouts: dict[tuple[int, int], Layout] = {}

    @rule(name=NAMES, keys=KEYS, columns=COLUMNS, snapshots=st.booleans())
    def declare(self, name: str, keys: Columns, columns: Columns, snapshots: bool) -> None:
        self.views = self.views.with_view(name, keys=keys, columns=columns, snapshots=snapshots)
        view = self.views[name]
        assert (view.keys, view.layout.columns, view.snapshots) == (keys, columns, snapshots)
        assert self.views.with_view(name, keys=keys, columns=columns, snapshots=snapshots) is self.views

    @rule(names=st.lists(NAMES))
    def remove(self, names: list[str]) -> None:
        gone = [self.views[name].number for name in {*names} if name in self.views]
        self.views = self.views.without(names)
        assert not any(name in self.views for name in names)
        assert {*gone} <= {*self.views.retired}

    @rule(data=st.data())
    def clear(self, data: st.DataObject) -> None:
        numbers = data.draw(st.lists(st.sampled_from(self.views.retired))) if self.views.retired else []
        self.views = self.views.cleared(numbers)
        assert not {*numbers} & {*self.views.retired}

    @invariant()
    def numbers_belong_to_one_view_for_ever(self) -> None:
        for name, view in self.views.views.items():
            assert self.owners.setdefault(view.number, (name, view.keys, view.snapshots)) == (
                name,
                view.keys,
                view.snapshots,
            )
            for number, layout in enumerate(view.layouts):
                assert self.layouts.setdefault((view.number, number), layout) == layout

    @invariant()
    def a_number_in_use_is_not_retired(self) -> None:
        used = [view.number for view in self.views.views.values()]
        assert len({*used}) == len(used)
        assert not {*used} & {*self.views.retired}
        assert max([*used, *self.views.retired], default=0) <= self.views.last_number

    @invariant()
    def the_document_is_read_back_as_it_was(self) -> None:
        read = OnlineViews.from_json(self.views.to_json())
        assert read == self.views
        assert read.to_json() == self.views.to_json()


TestDocuments = Documents.TestCase


def test_names_that_are_unknown_can_be_removed() -> None:
    assert OnlineViews().without(["nothing"]) == OnlineViews()


def test_the_suffix_of_a_view_is_its_number() -> None:
    assert OnlineView(258, (), (Layout(()),)).suffix == b"\x01\x02"


def test_the_document_of_a_newer_version_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="written by a newer version"):
        OnlineViews.from_json('{"format": 99}')


def test_numbers_end_before_they_would_repeat() -> None:
    full = OnlineViews(last_number=2**16 - 1)
    with pytest.raises(UnsupportedValueError, match="too many views"):
        full.with_view("one more", keys=(("id", "Int64"),), columns=())


def test_layouts_end_before_they_would_repeat() -> None:
    many = OnlineView(1, (("id", "Int64"),), (Layout(()),) * 2**16)
    with pytest.raises(UnsupportedValueError, match="too many layouts of view 'stats'"):
        OnlineViews({"stats": many}, 1).with_view("stats", keys=many.keys, columns=(("a", "Int64"),))
