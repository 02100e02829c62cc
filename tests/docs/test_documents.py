"""The documents keep their word: blocks run and show what they say, commands and links lead somewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from click import Context

from featurestore.cli.app import app
from featurestore.declare.registering import Options
from tests.docs.documents import read

ROOT = Path(__file__).parents[2]
RUNNER = Path(__file__).with_name("running.py")
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
RUNNING = [path for path in DOCUMENTS if read(path).python]
LANGUAGES = {"python", "text", "sh", "toml", ""}

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def start(arguments: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in ``folder``, with the package of this checkout; every warning is an error there too."""
    command = [sys.executable, "-W", "error", *arguments]
    known = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUTF8": "1", **environment}
    return subprocess.run(command, cwd=folder, env=known, check=False, capture_output=True, text=True, encoding="utf-8")


def commands(path: Path) -> list[list[str]]:
    """The commands in the document's shell blocks."""
    lines = (line for block in read(path).blocks if block.language == "sh" for line in block.text.splitlines())
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("path", RUNNING, ids=name)
def test_a_document_runs_and_shows_what_it_says(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    needs_server = "DATABASE_URL" in path.read_text(encoding="utf-8")
    environment = {"DATABASE_URL": str(request.getfixturevalue("postgres_database"))} if needs_server else {}
    done = start([str(RUNNER), str(path)], tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    for _, _, *arguments in (words for words in commands(path) if words[:3] == ["python", "-m", "pytest"]):
        tested = start(["-m", *arguments], tmp_path)
        assert tested.returncode == 0, tested.stdout


def test_the_titanic_tutorial_runs_on_the_real_passengers(shared_data: Path, tmp_path: Path) -> None:
    shutil.copyfile(shared_data / "titanic" / "titanic.csv", tmp_path / "titanic.csv")
    # Its own assertions compare every column with what the plain script computes; what it prints is of other people.
    done = start([str(RUNNER), "--any-output", str(ROOT / "docs/tutorial/titanic.md")], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_commands_exist(path: Path) -> None:
    for words in commands(path):
        assert exists(words), f"{name(path)}: {shlex.join(words)}"


def exists(words: list[str]) -> bool:
    """Tell whether a command is one that this checkout, or the package, offers."""
    match words:
        case ["make", *targets]:
            return bool(targets) and set(targets) <= make_targets()
        case ["pip", "install", requirement]:
            found = re.fullmatch(r"featurestore(?:\[([\w,]+)\])?", requirement)
            return found is not None and set((found[1] or "").split(",")) <= {"", *extras()}
        case ["featurestore", *rest]:
            return rest == ["--help"] or any(each in app.list_commands(Context(app)) for each in rest)
        case ["cd" | "echo", *_]:
            return True
        case ["python", "-m", module, *_]:
            return importlib.util.find_spec(module) is not None
        case ["python", script, *_]:
            return (ROOT / script).is_file()
    return False


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def extras() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return set(project["optional-dependencies"])


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in _LINK.findall(path.read_text(encoding="utf-8")):
        file, _, heading = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{name(path)}: {link}"
        assert not heading or heading in headings(target), f"{name(path)}: {link}"


def headings(path: Path) -> set[str]:
    """The anchors that headings get where Markdown is shown."""
    found = _HEADING.findall(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_blocks_are_in_languages_that_are_checked(path: Path) -> None:
    assert {block.language for block in read(path).blocks} <= LANGUAGES


def test_the_index_lists_every_document() -> None:
    index = ROOT / "docs/README.md"
    listed = {
        (index.parent / link.partition("#")[0]).resolve() for link in _LINK.findall(index.read_text(encoding="utf-8"))
    }
    decisions = ROOT / "docs/adr"
    assert [path for path in DOCUMENTS if path not in {*listed, index} and path.parent != decisions] == []


def test_the_index_of_decisions_lists_every_record() -> None:
    index = ROOT / "docs/adr/README.md"
    listed = set(_LINK.findall(index.read_text(encoding="utf-8")))
    assert listed == {path.name for path in index.parent.glob("0*.md")}


def test_the_reference_lists_every_option_of_register_feature() -> None:
    reference = (ROOT / "docs/reference/features.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", reference, re.MULTILINE)
    assert sorted(listed) == sorted(field.name for field in fields(Options))
