"""The command line as a whole: help, global options, errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import featurestore
from featurestore.cli.app import app
from featurestore.cli.feast_commands import INSTEAD
from tests.cli.commands import SOURCES, run

LOADED = """
import sys
from featurestore.cli import main
try:
    main([%r])
except SystemExit as end:
    assert not end.code, end.code
print([name for name in ("polars", "pyarrow", "pandas", "numpy", "duckdb", "rich", "yaml") if name in sys.modules])
"""


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_no_library_for_data(option: str) -> None:
    command = [sys.executable, "-c", LOADED % option]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(SOURCES)})
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_lists_every_command_with_a_line(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")
    assert all(f"\n  {name} " in done.out for name in app.list_commands(None))  # type: ignore[arg-type]  # No context is needed.


def test_the_reference_names_every_command() -> None:
    page = (SOURCES.parent / "docs" / "reference" / "cli.md").read_text()
    kinds = page[page.index("KIND is ") :].splitlines()[0]
    unsaid = [name for name in app.list_commands(None) if f"| `{name}" not in page and f"`{name}`" not in kinds]  # type: ignore[arg-type]  # No context is needed.
    assert not unsaid


@pytest.mark.parametrize("name", app.list_commands(None))  # type: ignore[arg-type]  # No context is needed.
def test_the_help_of_a_command_has_an_example(name: str) -> None:
    command = app.get_command(None, name)  # type: ignore[arg-type]  # No context is needed.
    assert command is not None
    assert command.help
    assert "Example: featurestore " in str(command.epilog)


def test_both_ways_to_the_version_say_it(tmp_path: Path) -> None:
    text = f"featurestore {featurestore.__version__}\n"
    assert (run(tmp_path, "--version").out, run(tmp_path, "version").out) == (text, text)


def test_an_unknown_command_is_a_usage_error_that_suggests_the_nearest(tmp_path: Path) -> None:
    done = run(tmp_path, "aply")
    assert done.status == 2
    assert "No such command 'aply'. Did you mean 'apply'?" in done.err


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_a_command_of_feasts_that_is_not_here_says_what_to_do_instead(name: str) -> None:
    done = CliRunner().invoke(app, [name, "list"])
    assert done.exit_code == 2
    assert f"No such command {name!r}. It is Feast's; here: {INSTEAD[name]}." in " ".join(done.output.split())
    assert name not in app.list_commands(None)  # type: ignore[arg-type]  # No context is needed.


def test_the_host_of_the_server_is_h_as_in_feast(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "-h", "0.0.0.0", "-p", "8080", "-w", "2", "--no-access-log")
    assert (done.status, done.out) == (1, "")
    assert "no feature_store.yaml" in done.err


def test_an_output_that_takes_nothing_more_is_an_error_without_a_traceback(applied: Path) -> None:
    command = [sys.executable, "-m", "featurestore.cli", "features", "list"]
    with open("/dev/full", "w") as full:  # noqa: PTH123  # No file, but a place that is always full.
        done = subprocess.run(
            command,
            cwd=applied,
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(SOURCES)},
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot be written: ")
    assert len(done.stderr.splitlines()) == 1


def test_an_error_says_what_found_expected_and_fix_without_a_traceback(tmp_path: Path) -> None:
    done = run(tmp_path, "plan")
    assert done.status == 1
    assert done.out == ""
    assert all(word in done.err for word in ("error: no feature_store.yaml", "found:", "expected:", "fix:"))
    assert "Traceback" not in done.err


def test_the_log_level_debug_shows_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" in run(tmp_path, "--log-level", "debug", "plan").err


def test_a_warning_is_one_line(shop: Path) -> None:
    with (shop / "feature_store.yaml").open("a") as file:
        file.write("onlin_store: x\n")
    (line,) = run(shop, "plan").err.splitlines()
    assert line.startswith("warning: feature_store.yaml:")
    assert "did you mean 'online_store'?" in line


def test_a_command_works_from_a_folder_below(applied: Path) -> None:
    assert run(applied / "data", "entities", "list").rows[0][0] == "driver"


def test_a_command_works_from_anywhere_with_chdir(applied: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "-c", str(applied), "plan", "--detailed-exitcode").status == 0


def test_a_settings_file_elsewhere_is_read(shop: Path, tmp_path: Path) -> None:
    (shop / "feature_store.yaml").rename(tmp_path / "prod.yaml")
    done = run(tmp_path, "-c", str(shop), "-f", "prod.yaml", "entities", "list")
    assert done.rows[0][0] == "driver"


def test_a_missing_environment_variable_is_named(shop: Path) -> None:
    file = shop / "feature_store.yaml"
    file.write_text(file.read_text().replace("data/registry.db", "${REGISTRY_PLACE}/registry.db"))
    assert "REGISTRY_PLACE is not set" in run(shop, "plan").err
    assert run(shop, "plan", "--detailed-exitcode", REGISTRY_PLACE="data").status == 0
