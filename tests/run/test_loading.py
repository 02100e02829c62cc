"""A repository's files as modules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from featurestore.declare.collector import collected
from featurestore.declare.entity import Entity
from featurestore.declare.feature import Feature
from featurestore.declare.source import FileSource
from featurestore.declare.view import FeatureView
from featurestore.errors import DuplicateNameError, RegistrationError
from featurestore.run.loading import load_modules, load_repository, python_files

FUNCTION = """
import featurestore as fs

@fs.register_feature(entity="driver_id")
def n_trips() -> dict:
    return {1: N}
"""
VIEW = """
from featurestore import Entity, FeatureView, FileSource
driver = Entity("driver", join_keys=["driver_id"])
trips = FileSource("trips.parquet", timestamp_field="at")
stats = FeatureView("stats", source=trips, entities=[driver])
"""


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Leave modules, path and declarations as they were."""
    modules, path = dict(sys.modules), list(sys.path)
    with collected.isolated():
        yield
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]
    sys.modules.update(modules)
    sys.path[:] = path


def _repository(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        file = folder.joinpath(*name.split("__")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def _only_function(folder: Path) -> Feature:
    (found,) = (each for each in load_repository(folder).objects if isinstance(each, Feature))
    return found


def test_declarations_at_the_level_of_modules_are_found(tmp_path: Path) -> None:
    kinds = [type(each) for each in load_repository(_repository(tmp_path, repo=VIEW)).objects]
    assert kinds == [Entity, FileSource, FeatureView]


def test_what_two_modules_share_is_one_object(tmp_path: Path) -> None:
    folder = _repository(tmp_path, repo=VIEW, other="from repo import driver\n")
    assert sum(isinstance(each, Entity) for each in load_repository(folder).objects) == 1


def test_registered_functions_are_found_wherever_they_are_kept(tmp_path: Path) -> None:
    text = FUNCTION.replace("N", "5") + "kept = [n_trips]\ndel n_trips\n"
    assert _only_function(_repository(tmp_path, repo=text)).name == "n_trips"


def test_a_module_has_the_name_that_its_author_uses(tmp_path: Path) -> None:
    folder = _repository(tmp_path, features__trips=FUNCTION.replace("N", "5"))
    assert _only_function(folder).qualified_name == "features.trips.n_trips"


def test_a_folder_without_an_init_file_is_not_taken_for_a_package_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = _repository(tmp_path / "installed", features__other="")
    (elsewhere / "features" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(elsewhere))
    folder = _repository(tmp_path / "repository", features__trips=FUNCTION.replace("N", "5"))
    assert _only_function(folder).qualified_name == "features.trips.n_trips"


def test_a_module_that_was_imported_before_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _repository(tmp_path, my_own_stats=VIEW)
    monkeypatch.syspath_prepend(tmp_path)
    import my_own_stats  # type: ignore[import-not-found]  # Made by the test.

    assert any(each is my_own_stats.stats for each in load_repository(tmp_path).objects)


def test_the_users_import_afterwards_gives_the_same_module(tmp_path: Path) -> None:
    folder = _repository(tmp_path, later_stats=VIEW)
    objects = load_repository(folder).objects
    import later_stats  # type: ignore[import-not-found]  # Made by the test.

    assert any(each is later_stats.stats for each in objects)


def test_two_repositories_may_use_the_same_names(tmp_path: Path) -> None:
    one = _repository(tmp_path / "one", repo=FUNCTION.replace("N", "lib.n"), lib="n = 1\n")
    two = _repository(tmp_path / "two", repo=FUNCTION.replace("N", "lib.n"), lib="n = 2\n")
    for folder in (one, two):
        (folder / "repo.py").write_text("import lib\n" + (folder / "repo.py").read_text())
    first, second = _only_function(one), _only_function(two)
    assert (first.fn(), second.fn()) == ({1: 1}, {1: 2})


def test_an_installed_package_of_the_same_name_stays_what_it_is(tmp_path: Path) -> None:
    import click

    folder = _repository(tmp_path, click=VIEW, repo="from click import stats\n")
    assert len(load_repository(folder).objects) == 3
    assert sys.modules["click"] is click


def test_a_file_that_hides_a_module_of_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RegistrationError, match="hides a module of Python's own"):
        load_repository(_repository(tmp_path, statistics=VIEW))


def test_loading_again_gives_what_was_loaded(tmp_path: Path) -> None:
    folder = _repository(tmp_path, repo=VIEW)
    assert load_repository(folder) is load_repository(folder)


def test_a_changed_file_is_loaded_anew(tmp_path: Path) -> None:
    folder = _repository(tmp_path, repo=FUNCTION.replace("N", "5"))
    load_repository(folder)
    _repository(tmp_path, repo=FUNCTION.replace("N", "5000"))
    assert _only_function(folder).fn() == {1: 5000}


def test_the_default_store_knows_what_was_loaded(tmp_path: Path) -> None:
    load_repository(_repository(tmp_path, repo=FUNCTION.replace("N", "5")))
    assert collected.get("repo.n_trips") is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("\nimport nothing_there\n", r"ModuleNotFoundError in .*repo\.py:2", id="import"),
        pytest.param("x = 1\n\ny = (\n", r"SyntaxError in .*repo\.py:3", id="syntax"),
        pytest.param("def f():\n    return 1 / 0\n\nf()\n", r"ZeroDivisionError in .*repo\.py:2", id="deep"),
        pytest.param("raise SystemExit(3)\n", r"SystemExit in .*repo\.py:1", id="exit"),
    ],
)
def test_a_file_that_cannot_be_imported_is_named_with_the_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RegistrationError, match=said):
        load_repository(_repository(tmp_path, repo=text))


def test_an_error_of_a_declaration_says_where_it_is(tmp_path: Path) -> None:
    twice = FUNCTION.replace("N", "5") + FUNCTION.replace("N", "6")
    with pytest.raises(DuplicateNameError) as caught:
        load_repository(_repository(tmp_path, repo=twice))
    assert caught.value.__notes__ == [f"in {tmp_path / 'repo.py'}:10"]


def test_after_a_failure_nothing_is_left(tmp_path: Path) -> None:
    folder = _repository(tmp_path, aaa=FUNCTION.replace("N", "5"), repo="import nothing_there\n")
    with pytest.raises(RegistrationError):
        load_repository(folder)
    assert "aaa" not in sys.modules
    assert len(collected) == 0
    (folder / "repo.py").write_text("")
    assert _only_function(folder).fn() == {1: 5}


def test_some_modules_can_be_loaded_without_the_others(tmp_path: Path) -> None:
    folder = _repository(tmp_path, repo=VIEW, script="raise SystemExit(3)\n")
    assert len(load_modules(folder, ["repo", "elsewhere.repo"]).objects) == 3


def test_tests_setup_hidden_folders_and_environments_are_left_out(tmp_path: Path) -> None:
    folder = _repository(
        tmp_path, repo="", setup="", test_repo="", conftest="", tests__x="", venv__lib__y="", _hidden__z=""
    )
    (folder / "venv" / "pyvenv.cfg").write_text("")
    (folder / "_hidden").rename(folder / ".hidden")
    assert [file.name for file in python_files(folder)] == ["repo.py"]


@pytest.mark.parametrize("pattern", ["scripts", "scripts/", "./scripts/*", "**/train.py", "scripts/train.py  # slow"])
def test_patterns_of_feastignore_leave_files_out(tmp_path: Path, pattern: str) -> None:
    folder = _repository(tmp_path, repo="", scripts__train="")
    (folder / ".feastignore").write_text(f"# what is not loaded\n{pattern}\n")
    assert [file.name for file in python_files(folder)] == ["repo.py"]
