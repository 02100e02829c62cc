"""Settings: where they are found, what they say, and where each value came from."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from featurestore.errors import ConfigurationError, FeatureStoreWarning
from featurestore.settings import Settings, find_settings, load_settings, settings_of


def _write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "feature_store.yaml"
    file.write_text(text)
    return file


def _load(folder: Path, text: str, **environ: str) -> Settings:
    _write(folder, text)
    return load_settings(folder, environ=environ)


def test_the_least_file_names_a_project(tmp_path: Path) -> None:
    settings = _load(tmp_path, "project: taxi\n")
    assert (settings.project, settings.provider, settings.engine) == ("taxi", "local", "polars")
    assert (settings.folder, settings.file) == (tmp_path, tmp_path / "feature_store.yaml")


def test_a_value_knows_the_line_that_it_came_from(tmp_path: Path) -> None:
    settings = _load(tmp_path, "project: taxi\nregistry:\n  path: r.db\n")
    assert settings.origin("registry.path") == "feature_store.yaml:3"


def test_a_default_says_that_it_is_one(tmp_path: Path) -> None:
    assert _load(tmp_path, "project: taxi\n").origin("provider") == "default"


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    text = "project: taxi\noffline_store:\n  type: polars\n"
    settings = _load(tmp_path, text, FEATURESTORE_OFFLINE_STORE__TYPE="duckdb")
    assert settings.engine == "duckdb"
    assert settings.origin("offline_store.type") == "the environment variable FEATURESTORE_OFFLINE_STORE__TYPE"


def test_the_environment_adds_to_a_section_that_is_only_a_text(tmp_path: Path) -> None:
    settings = _load(tmp_path, "project: taxi\nregistry: r.db\n", FEATURESTORE_REGISTRY__REGISTRY_TYPE="memory")
    assert settings.registry == {"path": "r.db", "registry_type": "memory"}


def test_other_variables_of_the_environment_are_none_of_ours(tmp_path: Path) -> None:
    assert "shared" not in _load(tmp_path, "project: taxi\n", FEATURESTORE_SHARED="/data").values


def test_a_variable_in_the_file_is_replaced(tmp_path: Path) -> None:
    settings = _load(tmp_path, "project: taxi\nregistry: postgresql://${WHO}@db/x\n", WHO="me")
    assert settings.registry == "postgresql://me@db/x"


def test_a_value_with_signs_of_yaml_comes_through_a_variable(tmp_path: Path) -> None:
    assert _load(tmp_path, "project: taxi\nprovider: ${P}\n", P="a: b # c").provider == "a: b # c"


def test_a_missing_variable_is_named_with_its_key_and_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="WHO is not set") as caught:
        _load(tmp_path, "project: taxi\nregistry:\n  path: ${WHO}\n")
    assert "registry.path" in str(caught.value)
    assert "feature_store.yaml:3" in str(caught.value)


def test_a_variable_that_may_be_missing_has_a_default(tmp_path: Path) -> None:
    assert _load(tmp_path, "project: ${NAME:-taxi}\n").project == "taxi"


@pytest.mark.parametrize("name", ["file", "dask", "polars"])
def test_names_of_feast_for_local_engines_mean_polars(tmp_path: Path, name: str) -> None:
    assert _load(tmp_path, f"project: taxi\noffline_store:\n  type: {name}\n").engine == "polars"


def test_an_engine_may_be_named_without_the_key_type(tmp_path: Path) -> None:
    assert _load(tmp_path, "project: taxi\noffline_store: duckdb\n").engine == "duckdb"


def test_an_online_store_may_be_named_without_the_key_type(tmp_path: Path) -> None:
    assert _load(tmp_path, "project: taxi\nonline_store: redis\n").online_store == {"type": "redis"}


def test_keys_of_feast_without_meaning_here_are_accepted(tmp_path: Path) -> None:
    text = (
        "project: taxi\nprovider: local\nentity_key_serialization_version: 2\nflags: {alpha: true}\n"
        "feature_server: {type: local}\nauth: {type: no_auth}\nbatch_engine: {type: local}\n"
        "registry: {registry_type: file, path: r.db, cache_ttl_seconds: 60}\nonline_store: {type: sqlite, path: o.db}\n"
    )
    assert _load(tmp_path, text).get("online_store.type") == "sqlite"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("project: a\nonlin_store: x\n", "feature_store.yaml:2.*did you mean 'online_store'", id="top"),
        pytest.param("project: a\nregistry: {pth: x}\n", "registry.pth.*did you mean 'registry.path'", id="registry"),
        pytest.param("project: a\nzzz: x\n", "'zzz' means nothing here$", id="unlike-any"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(tmp_path: Path, text: str, said: str) -> None:
    with pytest.warns(FeatureStoreWarning, match=said):
        _load(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "says nothing", id="empty"),
        pytest.param("- a\n", "says nothing", id="a-list"),
        pytest.param("project: [\n", "is no YAML", id="no-yaml"),
        pytest.param("registry: r.db\n", "names no project", id="no-project"),
        pytest.param("project: 12\n", "names no project", id="a-number"),
        pytest.param("project: a b\n", "names no project", id="two-words"),
        pytest.param("project: a\nproject: b\n", ":2 says project a second time", id="twice"),
        pytest.param("project: a\nregistry: s3://bucket/r.db\n", "registry.path", id="object-store"),
        pytest.param("project: a\nregistry: 5\n", "registry cannot be used", id="registry-number"),
        pytest.param("project: a\nmemory_limit: lots\n", "memory_limit", id="memory"),
        pytest.param("project: a\nmax_clock_skew: 5\n", "max_clock_skew", id="skew"),
    ],
)
def test_what_cannot_be_used_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        _load(tmp_path, text)


def test_an_error_about_a_url_hides_its_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _load(tmp_path, "project: a\nregistry: mysql://me:hunter2@db/x\n")
    assert "hunter2" not in str(caught.value)


def test_printing_settings_shows_no_registry_url(tmp_path: Path) -> None:
    assert "hunter2" not in repr(_load(tmp_path, "project: a\nregistry: postgresql://me:hunter2@db/x\n"))


def test_how_far_clocks_may_differ_is_a_length_of_time(tmp_path: Path) -> None:
    assert _load(tmp_path, "project: a\nmax_clock_skew: 30s\n").max_clock_skew == timedelta(seconds=30)
    assert _load(tmp_path, "project: a\n").max_clock_skew == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1000", 1000), ("512MB", 512_000_000), ("2GiB", 2 * 1024**3), ("1.5 kb", 1500), ("4G", 4_000_000_000)],
)
def test_a_memory_limit_is_read_with_its_unit(tmp_path: Path, text: str, size: int) -> None:
    assert _load(tmp_path, f"project: a\nmemory_limit: {text}\n").memory_limit == size


def test_settings_are_found_in_a_folder_above(tmp_path: Path) -> None:
    file = _write(tmp_path, "project: a\n")
    below = tmp_path / "features" / "deep"
    below.mkdir(parents=True)
    assert find_settings(below, above=True) == file


def test_a_named_folder_is_not_left_upwards(tmp_path: Path) -> None:
    _write(tmp_path, "project: a\n")
    below = tmp_path / "features"
    below.mkdir()
    with pytest.raises(ConfigurationError, match=r"no feature_store.yaml"):
        find_settings(below)


def test_a_folder_feature_repo_is_looked_into(tmp_path: Path) -> None:
    file = _write(tmp_path / "feature_repo", "project: a\n")
    assert load_settings(tmp_path).folder == file.parent


def test_a_file_elsewhere_keeps_the_folder_that_was_named(tmp_path: Path) -> None:
    file = _write(tmp_path / "settings", "project: a\n").rename(tmp_path / "settings" / "prod.yaml")
    settings = load_settings(tmp_path, file=file)
    assert (settings.folder, settings.file) == (tmp_path, file)


def test_settings_can_be_made_without_a_file(tmp_path: Path) -> None:
    settings = settings_of({"project": "taxi", "offline_store": {"type": "duckdb"}}, folder=tmp_path)
    assert (settings.project, settings.engine, settings.file) == ("taxi", "duckdb", None)
    assert settings.origin("offline_store.type") == "argument"
