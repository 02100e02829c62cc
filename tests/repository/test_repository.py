"""A repository is a value: its hash and equality say what was declared, and objects come back as they were."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import featurestore as fs
from featurestore import types
from featurestore.errors import AmbiguousNameError, ConfigurationError, RegistrationError, UnknownNameError
from featurestore.repository.collect import collect, merged
from featurestore.repository.documents import ObjectKind
from featurestore.repository.repository import Repository
from tests.generated import MANY
from tests.repository.declarations import declarations

SOURCE = fs.FileSource("stats.parquet", timestamp_field="at")
DRIVER = fs.Entity("driver", join_keys=["driver_id"], value_type=types.Int64, tags={"team": "x"}, owner="ana")
VIEW = fs.FeatureView("stats", SOURCE, [fs.Field("trips", types.Int64)], [DRIVER], "7d")


@MANY
@given(st.data())
def test_the_order_of_declaration_changes_neither_hash_nor_equality(data: st.DataObject) -> None:
    objects = data.draw(declarations())
    shuffled = data.draw(st.permutations(objects))
    one, other = collect("p", objects), collect("p", shuffled)
    assert one.hash == other.hash
    assert one == other
    assert hash(one) == hash(other)


@MANY
@given(declarations())
def test_a_document_read_is_the_repository_that_was_written(objects: list[object]) -> None:
    written = collect("p", objects)
    read = Repository.from_json(written.to_json())
    assert read == written
    assert read.hash == written.hash
    assert read.to_json() == written.to_json()


@MANY
@given(declarations())
def test_objects_made_from_a_document_declare_the_same_repository(objects: list[object]) -> None:
    written = collect("p", objects)
    read = Repository.from_json(written.to_json())
    assert collect("p", [each for kind in ObjectKind for each in read.objects(kind)]) == written


@MANY
@given(declarations())
def test_objects_come_back_equal(objects: list[Any]) -> None:
    read = Repository.from_json(collect("p", objects).to_json())
    found = {
        fs.Entity: read.entity,
        fs.FileSource: read.source,
        fs.FeatureView: read.feature_view,
        fs.FeatureService: read.feature_service,
    }
    for each in objects:
        if not any(isinstance(entity, str) for entity in getattr(each, "entities", ())) and type(each) in found:
            made = found[type(each)](each.name)
            assert made == each or isinstance(each, fs.FeatureService)  # A service's views have their entities now.


def test_another_project_is_another_value() -> None:
    assert collect("p", [VIEW]) != collect("q", [VIEW])
    assert collect("p", [VIEW]) != "p"


def test_the_hash_is_that_of_the_text() -> None:
    from hashlib import sha256

    repository = collect("p", [VIEW])
    assert repository.hash == sha256(repository.to_json().encode()).hexdigest()


def test_text_with_other_spaces_and_order_is_the_same_repository() -> None:
    repository = collect("p", [VIEW])
    loose = json.dumps(json.loads(repository.to_json()), indent=3)
    assert Repository.from_json(loose) == repository


def test_a_view_brings_its_source_and_entities_along() -> None:
    repository = collect("p", [VIEW])
    assert repository.entity("driver") == DRIVER
    assert repository.source("stats") == SOURCE
    assert repository.feature_view("stats") == VIEW


def test_a_service_brings_its_views_along() -> None:
    repository = collect("p", [fs.FeatureService("model", [VIEW[["trips"]]])])
    assert repository.feature_view("stats") == VIEW
    assert repository.feature_service("model").features == (VIEW[["trips"]],)


def test_an_entity_by_name_is_the_declared_one_and_else_one_of_that_key() -> None:
    view = fs.FeatureView("v", SOURCE, entities=["driver", "shop"])
    repository = collect("p", [view, DRIVER])
    driver, shop = repository.feature_view("v").entities
    assert driver == DRIVER
    assert shop == fs.Entity("shop")


def test_a_push_source_brings_its_batch_source_along() -> None:
    push = fs.PushSource("push", batch_source=SOURCE)
    repository = collect("p", [fs.FeatureView("v", push)])
    assert repository.source("push") == push
    assert repository.feature_view("v").source == push


def test_sources_of_one_file_name_in_different_folders_are_different_sources() -> None:
    one, other = (fs.FileSource(f"{folder}/stats.parquet", timestamp_field="at") for folder in "ab")
    repository = collect("p", [fs.FeatureView("v", one), fs.FeatureView("w", other)])
    assert repository.feature_view("v").source == one
    assert repository.feature_view("w").source == other
    assert repository.source("a/stats.parquet") == one
    with pytest.raises(AmbiguousNameError, match="2 data sources are called 'stats'"):
        repository.source("stats")


def test_a_name_that_is_not_there_is_an_error_with_the_nearest() -> None:
    repository = collect("p", [VIEW])
    with pytest.raises(UnknownNameError, match="did you mean 'stats'"):
        repository.feature_view("stast")
    with pytest.raises(UnknownNameError, match="did you mean 'driver'"):
        repository.entity("drivers")
    with pytest.raises(UnknownNameError, match="did you mean 'stats'"):
        repository.view("stat")


@fs.on_demand_feature_view(
    sources=[VIEW, fs.RequestSource("ask", [fs.Field("x", types.Int64)])],
    schema=[fs.Field("y", types.Int64)],
    mode="polars",
    tags={"team": "x"},
)
def doubled(frame: Any) -> Any:
    """Twice."""
    return frame * 2


def test_an_on_demand_view_keeps_where_its_code_is_and_no_code() -> None:
    repository = collect("p", [doubled])
    document = repository.document(ObjectKind.ON_DEMAND, "doubled")
    assert document["function"] == f"{__name__}:doubled"
    assert len(document["fingerprint"]) == 32
    assert repository.on_demand_feature_view("doubled") == doubled


def test_an_on_demand_view_of_a_document_computes_with_the_code_that_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "on_demand_of_a_test.py").write_text(
        "import featurestore as fs\nfrom featurestore import types\n"
        "ask = fs.RequestSource('ask', [fs.Field('x', types.Int64)])\n"
        "@fs.on_demand_feature_view(sources=[ask], schema=[fs.Field('y', types.Int64)])\n"
        "def twice(x):\n    return 2 * x\n"
    )
    code = (
        "from on_demand_of_a_test import twice\nfrom featurestore.repository.collect import collect\n"
        "print(collect('p', [twice]).to_json())"
    )
    text = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": _path(tmp_path)}
    ).stdout
    monkeypatch.syspath_prepend(tmp_path)
    assert "on_demand_of_a_test" not in sys.modules
    view = Repository.from_json(text).on_demand_feature_view("twice")
    assert "on_demand_of_a_test" not in sys.modules
    assert view(21) == 42


def _path(folder: Path) -> str:
    return f"{folder}:{Path(__file__).parents[2] / 'src'}"


def test_code_that_is_gone_is_an_error_that_says_where_it_was() -> None:
    text = collect("p", [doubled]).to_json().replace(f"{__name__}:doubled", "no_such_module:doubled")
    view = Repository.from_json(text).on_demand_feature_view("doubled")
    with pytest.raises(RegistrationError, match="is not where it was") as caught:
        view(1)
    assert "doubled in the module no_such_module" in str(caught.value)


def test_code_in_a_module_that_cannot_be_imported_is_such_an_error_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more_of_a_test.py").write_text("{}['what is not there']")
    monkeypatch.syspath_prepend(tmp_path)
    text = collect("p", [doubled]).to_json().replace(f"{__name__}:doubled", "needs_more_of_a_test:doubled")
    with pytest.raises(RegistrationError, match="is not where it was"):
        Repository.from_json(text).on_demand_feature_view("doubled")(1)


def _times(factor: int) -> Any:
    def times(frame: Any) -> Any:
        return frame * factor

    fields = [fs.Field("n", types.Int64)]
    return fs.on_demand_feature_view(sources=[fs.RequestSource("asked", fields)], schema=fields, name=f"x{factor}")(
        times
    )


def test_functions_that_one_function_makes_are_those_of_their_own_views() -> None:
    two, three = _times(2), _times(3)
    repository = collect("p", [two, three])
    assert [repository.on_demand_feature_view(name)(5) for name in ("x2", "x3")] == [10, 15]
    later = merged(repository, [_times(4)]).repository
    assert [later.on_demand_feature_view(name)(5) for name in ("x2", "x3", "x4")] == [10, 15, 20]


def _view_of(file: str, view: str, **options: Any) -> fs.FeatureView:
    return fs.FeatureView(view, fs.FileSource(file, **options), entities=["user"])


def test_a_file_without_a_name_is_not_declared_anew_under_views_that_are_not() -> None:
    before = collect("p", [_view_of("e.parquet", "a", timestamp_field="at")])
    other = _view_of("e.parquet", "b", timestamp_field="later")
    (problem,) = merged(before, [other]).problems
    assert "declared otherwise than for 'a'" in str(problem)
    assert "timestamp_field: 'at' and 'later'" in str(problem)
    assert not merged(before, [other, _view_of("e.parquet", "a", timestamp_field="later")]).problems
    assert not merged(before, [_view_of("e.parquet", "b", name="later", timestamp_field="later")]).problems
    assert not merged(before, [_view_of("e.parquet", "b", timestamp_field="at")]).problems


def test_a_file_with_a_name_may_change_for_all_views_that_read_it() -> None:
    before = collect("p", [_view_of("e.parquet", "a", name="events", timestamp_field="at")])
    assert not merged(before, [_view_of("f.parquet", "b", name="events", timestamp_field="at")]).problems


def test_a_registered_function_is_declared_with_its_fingerprint_and_found_again() -> None:
    @fs.register_feature(entity="driver_id", timestamp="at", ttl="1d", name="repository_tests.rides")
    def rides() -> dict[int, int]:
        return {1: 2}

    repository = collect("p", [rides])
    document = repository.document(ObjectKind.FUNCTION, "repository_tests.rides")
    assert (document["kind"], document["timestamp"], document["ttl"]) == ("timeline", "at", "1d")
    assert len(document["fingerprint"]) == 32
    assert Repository.from_json(repository.to_json()).view("rides") is rides


def test_a_changed_function_is_another_repository() -> None:
    def declared(number: int) -> Repository:
        @fs.on_demand_feature_view(sources=[VIEW], schema=[fs.Field("y", types.Int64)])
        def scaled(frame: Any) -> Any:
            return frame * number

        return collect("p", [scaled])

    assert declared(1) == declared(1)
    assert declared(1) != declared(2)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"project": 1}', "\x12binary", '{"project": "p"}'])
def test_what_is_no_repository_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Repository.from_json(text)


def test_a_document_of_a_newer_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="upgrade featurestore"):
        Repository.from_json('{"format": 2, "project": "p"}')


def test_a_ttl_is_kept_to_the_microsecond() -> None:
    ttl = timedelta(days=1, microseconds=1)
    repository = collect("p", [fs.FeatureView("v", SOURCE, ttl=ttl)])
    assert Repository.from_json(repository.to_json()).feature_view("v").ttl == ttl


def test_what_cannot_be_declared_is_refused() -> None:
    with pytest.raises(RegistrationError, match="not something that can be applied"):
        collect("p", [object()])


def test_two_declarations_of_one_name_that_differ_are_refused_with_the_difference() -> None:
    with pytest.raises(RegistrationError, match=r"entity 'driver' differ") as caught:
        collect("p", [DRIVER, fs.Entity("driver", join_keys=["id"])])
    assert "join_keys" in str(caught.value)


def test_reading_a_document_loads_no_code_and_no_frame_library() -> None:
    code = (
        "import sys\nfrom featurestore.repository.repository import Repository\n"
        f"r = Repository.from_json({collect('p', [doubled]).to_json()!r})\n"
        "r.on_demand_feature_view('doubled'); r.feature_view('stats')\n"
        f"print([name for name in ('polars', 'pandas', 'numpy', {__name__!r}) if name in sys.modules])"
    )
    environment = {"PYTHONPATH": _path(Path())}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
