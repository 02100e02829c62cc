from __future__ import annotations

import ast
import gc
import importlib
import linecache
import os
import random
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.repository.projects import Feature, Project, fingerprints, register_feature

RICH = '''
import functools
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

LIMIT = 3
SHARES = {"a": 0.5, "b": [1, 2]}
DATA = Path(__file__).parent / "data.csv"
KEYS = {"x", "y", "z"}


class Color(Enum):
    RED = "r"


@dataclass(frozen=True)
class Settings:
    """Settings."""

    low: int = 1

    def floor(self):
        return self.low + offset()


SETTINGS = Settings(low=2)


def offset():
    return 7


def log_calls(fn):
    @functools.wraps(fn)
    def wrapper(*args):
        return fn(*args)

    return wrapper


@log_calls
def events(n):
    """Events."""
    return n * LIMIT  # why


@functools.cache
def titles():
    return (Color.RED, KEYS)


@register_feature(owner="me")
def upstream(when):
    return events(1)


half = functools.partial(events, 2)


@register_feature
def f(when: datetime, k=LIMIT):
    """Doc."""
    shares = {name: share for name, share in SHARES.items()}
    return upstream(when), half(), titles(), SETTINGS.floor(), DATA, shares, f"{k}{LIMIT!r}", timedelta(days=1)
'''

EDITS = {
    "body": ("timedelta(days=1)", "timedelta(days=2)"),
    "helper": ("return n * LIMIT", "return n + LIMIT"),
    "helper of a method's": ("return 7", "return 8"),
    "decorator of a helper": ("return fn(*args)", "return fn(*args) or 1"),
    "cached helper": ("(Color.RED, KEYS)", "[Color.RED, KEYS]"),
    "called feature": ("return events(1)", "return events(3)"),
    "constant": ("LIMIT = 3", "LIMIT = 4"),
    "type of a constant": ("LIMIT = 3", "LIMIT = 3.0"),
    "nested constant": ("[1, 2]", "[1, 3]"),
    "order of a dict": ('{"a": 0.5, "b": [1, 2]}', '{"b": [1, 2], "a": 0.5}'),
    "set": ('"z"}', '"w"}'),
    "path": ("data.csv", "other.csv"),
    "member of an enum": ('RED = "r"', 'RED = "s"'),
    "instance of a dataclass": ("Settings(low=2)", "Settings(low=3)"),
    "method": ("self.low + offset()", "self.low - offset()"),
    "default": ("k=LIMIT", "k=5"),
    "argument of a partial": ("partial(events, 2)", "partial(events, 9)"),
}

IDLE = {
    "comment": ("# why", "# because"),
    "docstring": ('"""Doc."""', '"""Other."""'),
    "docstring of a helper": ('"""Events."""', ""),
    "docstring of a class": ('"""Settings."""', '"""Other."""'),
    "options of the registration": ('owner="me"', 'owner="you", tags=["x"]'),
    "annotation": ("when: datetime", "when"),
    "unused code": ("LIMIT = 3", "LIMIT = 3\nUNUSED = 5\ndef unused(): pass"),
    "order of a set": ('{"x", "y", "z"}', '{"z", "y", "x"}'),
    "value": ("LIMIT = 3", "LIMIT = 1 + 2"),
}


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_that_can_change_a_value_changes_the_digest(project: Project, kind: str) -> None:
    old, new = EDITS[kind]
    assert RICH.count(old) == 1
    assert project.digest(RICH) != project.digest(RICH.replace(old, new))


@pytest.mark.parametrize("kind", IDLE)
def test_an_edit_that_changes_no_value_leaves_the_digest(project: Project, kind: str) -> None:
    old, new = IDLE[kind]
    assert RICH.count(old) == 1
    assert project.digest(RICH) == project.digest(RICH.replace(old, new))


def test_the_parts_are_listed(project: Project) -> None:
    module = project.run(RICH, "rich")
    found = fingerprints().of(module.f)
    names = ("Color", "Settings", "events", "log_calls", "offset", "titles")
    assert found.helpers == tuple(f"rich.{name}" for name in names)
    assert found.features == (module.upstream,)
    assert {"rich.LIMIT", "rich.SHARES", "rich.DATA", "rich.KEYS", "rich.SETTINGS"} <= set(found.constants)
    assert all(name.startswith("rich.") for name in found.constants)
    assert found.opaque == ()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 2**32))
def test_formatting_never_counts(project: Project, seed: int) -> None:
    assert project.digest(_reformatted(RICH, random.Random(seed))) == project.digest(RICH)


def _reformatted(text: str, chance: random.Random) -> str:
    if chance.random() < 0.5:
        text = ast.unparse(ast.parse(text))
    indent = " " * chance.randrange(1, 9)
    lines = []
    for line in text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        line = indent * depth + line.lstrip()  # noqa: PLW2901
        head, is_return, value = line.partition("return ")
        if is_return and "#" not in value and chance.random() < 0.5:
            line = f"{head}return ({value}\n)"  # noqa: PLW2901
        blank = chance.choice(["", "\n", "\n\n" + indent * depth + "# remark\n"]) if '"""' not in line else ""
        lines.append(blank + line)
    return "\n".join(lines) + "\n"


# Verified by hand under Python 3.11.7, 3.12.1 and 3.13.0, like the golden cases of the walk.
def test_the_digest_of_a_rich_feature_is_the_same_on_every_python(project: Project) -> None:
    assert project.digest(RICH) == "f3c1a97d555421c7ee4704b5dddefa59"


def test_other_processes_and_checkouts_agree(tmp_path: Path, project: Project) -> None:
    here = Path(__file__).resolve().parents[2]
    program = textwrap.dedent(
        """
        import sys; from pathlib import Path
        from tests.repository.projects import Project
        print(Project(Path(sys.argv[1])).digest(sys.stdin.read()))
        """
    )
    found = {project.digest(RICH)}
    for seed in ("0", "1", "4711"):
        folder = tmp_path / f"checkout{seed}" / "deeper"
        folder.mkdir(parents=True)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{here / 'src'}:{here}"}
        command = [sys.executable, "-c", program, str(folder)]
        done = subprocess.run(command, input=RICH, env=environment, capture_output=True, text=True, check=True)
        found.add(done.stdout.strip())
    assert len(found) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f(): return g()\ndef g(): return 1", "def f(): return g()\ndef g(): return 2"),
        ("f = lambda: 1", "f = lambda: 2"),
        ("a, f = lambda: 1, lambda: 2", "a, f = lambda: 1, lambda: 3"),
        ("def m(k):\n def f(): return k\n return f\nf = m(1)", "def m(k):\n def f(): return k\n return f\nf = m(2)"),
        (
            "def m(k):\n def f(x=k): return x\n return f\nf = m(1)",
            "def m(k):\n def f(x=k): return x\n return f\nf = m(2)",
        ),
        ("def g(): return 1\nFS = [g]\ndef f(): return FS[0]()",
         "def g(): return 2\nFS = [g]\ndef f(): return FS[0]()"),
        ("def g(): return 1\nM = {'g': g}\ndef f(): return M", "def g(): return 2\nM = {'g': g}\ndef f(): return M"),
        (
            "class A:\n @staticmethod\n def g(): return 1\ndef f(): return A.g()",
            "class A:\n @staticmethod\n def g(): return 2\ndef f(): return A.g()",
        ),
        (
            "class A:\n @classmethod\n def g(cls): return cls.n\n n = 1\ng = A.g\ndef f(): return g()",
            "class A:\n @classmethod\n def g(cls): return cls.n\n n = 2\ng = A.g\ndef f(): return g()",
        ),
        (
            "class B:\n def g(self): return 1\nclass A(B): pass\na = A()\ndef f(): return a.g()",
            "class B:\n def g(self): return 2\nclass A(B): pass\na = A()\ndef f(): return a.g()",
        ),
        ("class A: n = 1\ndef f(): return A.n", "class A: n = 1\nA.n = 2\ndef f(): return A.n"),
        (
            "from collections import namedtuple\nP = namedtuple('P', 'a b')\ndef f(): return P(1, 2)",
            "from collections import namedtuple\nP = namedtuple('P', 'b a')\ndef f(): return P(1, 2)",
        ),
        ("from math import floor as g\ndef f(): return g(1)", "from math import ceil as g\ndef f(): return g(1)"),
        ("import json as m\ndef f(): return m.x", "import csv as m\ndef f(): return m.x"),
        ("def f(): return even(4)\ndef even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n and even(n - 1)",
         "def f(): return even(4)\ndef even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n and even(n - 2)"),
        ("sum = lambda x: 1\ndef f(): return sum([])", "def f(): return sum([])"),
        ("import re\nP = re.compile('a')\ndef f(): return P",
         "import re\nP = re.compile('a', re.I)\ndef f(): return P"),
    ],
)  # fmt: skip
def test_what_a_name_leads_to_counts(project: Project, before: str, after: str) -> None:
    assert project.digest(before) == project.digest(before)
    assert project.digest(before) != project.digest(after)


def test_a_local_name_never_stands_for_a_global(project: Project) -> None:
    body = "def f(limit):\n  for n in limit: other = n\n  return [LIMIT for LIMIT in limit], other, n\n"
    assert project.fingerprint(f"limit = LIMIT = other = n = 1\n{body}").constants == ()


def test_features_that_call_each_other_end_and_differ(project: Project) -> None:
    text = "@register_feature\ndef f(n): return n and g(n - 1)\n@register_feature\ndef g(n): return n and f(n - 1)\n"
    module = project.run(text)
    known = fingerprints()
    assert known.of(module.f).features == (module.g,)
    assert known.of(module.g).features == (module.f,)
    assert known.of(module.f).digest != known.of(module.g).digest
    assert known.of(module.g).digest == fingerprints().of(module.g).digest


def test_a_feature_that_calls_itself_does_not_depend_on_itself(project: Project) -> None:
    assert project.fingerprint("@register_feature\ndef f(n): return n and f(n - 1)").features == ()


def test_features_behind_helpers_are_found_and_those_behind_features_are_not(project: Project) -> None:
    module = project.run(
        "@register_feature\ndef a(): return 1\n@register_feature\ndef b(): return a()\n"
        "def helper(): return b()\n@register_feature\ndef f(): return helper()\n"
    )
    assert fingerprints().of(module.f).features == (module.b,)


def test_a_connection_is_listed_and_does_not_count(project: Project) -> None:
    text = "conn = {}\ndef f(): return conn.execute('select 1')\n"
    one, other = project.fingerprint(text.format("object()")), project.fingerprint(text.format("iter([])"))
    assert one.digest == other.digest
    assert [each.split(".", 1)[1] for each in (*one.opaque, *other.opaque)] == [
        "conn (object)",
        "conn (list_iterator)",
    ]


def test_objects_are_not_asked_for_attributes_that_they_may_answer_oddly(project: Project) -> None:
    text = "class A:\n __slots__ = ()\n def __getattr__(self, name): raise ValueError\na = A()\ndef f(): return a.b\n"
    found = project.fingerprint(text)
    assert [name.split(".", 1)[1] for name in (*found.helpers, *found.opaque)] == ["A", "a (A)"]


def test_what_was_registered_with_a_dispatcher_of_the_standard_library_counts_each_time_alike(project: Project) -> None:
    text = (
        "import functools\n@functools.singledispatch\ndef g(x): return 1\n"
        "@g.register\ndef _(x: int): return 2\ndef f(): return g(1)\n"
    )
    assert project.digest(text) == project.digest(text)
    assert project.digest(text) != project.digest(text.replace("return 2", "return 3"))


def test_objects_of_libraries_count_by_name(project: Project) -> None:
    one = project.fingerprint("from polars import col\ndef f(): return col('x')\n")
    other = project.fingerprint("from polars import lit as col\ndef f(): return col('x')\n")
    assert one.opaque == other.opaque == ()
    assert one.digest != other.digest


@pytest.mark.parametrize(
    "importing",
    [
        "import helpers_a\ndef f(): return helpers_a.g()",
        "from helpers_a import g\ndef f(): return g()",
        "def f():\n import helpers_a as h\n return h.g()",
        "def f():\n from helpers_a import g as k\n return k()",
        "import folder_a.inner\ndef f(): return folder_a.inner.g()",
        "def f():\n import folder_a.inner\n return folder_a.inner.g()",
        "def f():\n from folder_a import inner\n return inner.g()",
    ],
)
def test_helpers_in_other_modules_count(
    project: Project, importing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    found = []
    for number in (1, 2):
        for name in ("helpers_a", "folder_a/inner", "folder_a/__init__"):
            project.write("" if name.endswith("__") else f"def g(): return {number}\nassert True\n", name)
        found.append(project.digest(importing))
        for name in ("helpers_a", "folder_a.inner", "folder_a"):
            sys.modules.pop(name, None)
        for cache in tmp_path.rglob("__pycache__"):  # both states are written within one tick of the file's clock
            shutil.rmtree(cache)
    assert found[0] != found[1]


def test_a_package_of_features_has_the_digests_of_its_checkout_where_it_is_installed(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = []
    for place, number in (("checkout", 1), ("one/site-packages", 1), ("two/site-packages", 2)):
        project.write("", f"{place}/shipped/__init__")
        project.write(f"def g(): return {number}\n", f"{place}/shipped/base")
        project.write("from shipped.base import g\ndef f(): return g()\n", f"{place}/shipped/views")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(tmp_path / place))
            found.append(fingerprints().of(Feature(importlib.import_module("shipped.views").f)).digest)
        for name in ("shipped", "shipped.base", "shipped.views"):
            del sys.modules[name]
    checkout, installed, edited = found
    assert checkout == installed != edited


def test_a_module_that_is_not_there_is_no_error(project: Project) -> None:
    assert project.digest("def f():\n import not_there_at_all\n return not_there_at_all.x\n")


class Notebook:
    """Cells that are run one after the other in one namespace, as a notebook does."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__", "register_feature": register_feature}
        self.known = fingerprints()
        self._cells = 0

    def run(self, text: str) -> None:
        self._cells += 1
        name = f"<cell {id(self)} {self._cells}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec", dont_inherit=True), self.names)

    def digest(self) -> str:
        return self.known.of(self.names["f"]).digest


@pytest.mark.parametrize(
    "change",
    [
        "def helper(): return 2",
        "LIMIT = 4",
        "SHARES['b'] = 2",
        "ROWS[0].append(1)",
        "@register_feature\ndef called(): return 2",
        "class Model:\n def score(self): return 2",
        "Model.score = lambda self: 3",
        "Model.rate = 2",
        "@register_feature\ndef f(): return 0",
        "late = 5",
        "helper.__code__ = (lambda: 5).__code__",
    ],
)
def test_what_a_notebook_redefines_is_seen_at_once(change: str) -> None:
    book = Notebook()
    book.run("LIMIT = 3\nSHARES = {'a': 1}\nROWS = ([1],)\ndef helper(): return 1\n")
    book.run("class Model:\n rate = 1\n def score(self): return self.rate\n")
    book.run("@register_feature\ndef called(): return 1\n")
    book.run("@register_feature\ndef f(): return helper(), called(), LIMIT, SHARES, ROWS, Model().score(), late\n")
    before = book.digest()
    assert book.digest() == before
    book.run(change)
    assert book.digest() != before


def test_running_a_cell_again_changes_nothing() -> None:
    book = Notebook()
    for _ in range(2):
        book.run("LIMIT = 3\ndef helper(): return LIMIT\nclass Model:\n def score(self): return helper()\n")
    book.run("@register_feature\ndef f(): return helper(), Model().score()\n")
    before = book.digest()
    book.run("LIMIT = 3\n\n\ndef helper(): return LIMIT  # again\nclass Model:\n\n def score(self): return helper()\n")
    assert book.digest() == before


def test_asking_again_looks_no_source_up(project: Project) -> None:
    feature = Feature(project.run(RICH).f.fn)
    known = fingerprints()
    first = known.of(feature)
    assert known.of(feature) is first


def test_code_without_source_has_a_digest_that_says_so() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec("LIMIT = 1\ndef f(): return LIMIT + 1", names)
    known = fingerprints()
    found = known.of(Feature(names["f"]))
    assert found.opaque == ("source not found: __main__.f",)
    assert found.constants == ("__main__.LIMIT",)


def test_a_file_edited_after_import_never_gives_the_digest_of_code_that_did_not_run(project: Project) -> None:
    old, new = "def f(): return g()\ndef g(): return 1\n", "def f(): return g()\ndef g(): return 2\n"
    module = project.run(old, "edited")
    project.write(new, "edited")
    found = fingerprints().of(Feature(module.f))
    assert found.digest != project.digest(new)
    assert found.opaque == ("source not found: edited.g",)


def test_a_file_whose_lines_moved_after_import_gives_the_same_digest(project: Project) -> None:
    text = "def f():\n  'doc'\n  return g()\ndef g(): return 1\n"
    module = project.run(text, "moved")
    project.write("# a\n\n# b\n" + text.replace("doc", "documentation"), "moved")
    assert fingerprints().of(Feature(module.f)).digest == project.digest(text)


def test_a_function_with_asserts_that_pytest_rewrote_is_found() -> None:
    def f() -> int:
        value = len("abc")
        assert value == 3
        return value

    assert fingerprints().of(Feature(f)).opaque == ()


def test_nothing_is_kept_alive_by_a_replaced_feature() -> None:
    book = Notebook()
    book.run("@register_feature\ndef f(): return 1\n")
    book.digest()
    book.run("@register_feature\ndef f(): return 2\n")
    book.digest()
    gc.collect()
    assert sum(isinstance(each, Feature) and each.fn.__globals__ is book.names for each in gc.get_objects()) == 1
