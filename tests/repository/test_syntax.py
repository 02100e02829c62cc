from __future__ import annotations

import ast
import hashlib

import pytest

from featurestore.repository.syntax import references, walk


def _walk(text: str) -> bytes:
    return walk(ast.parse(text))


def _names(text: str) -> list[str]:
    return [str(each) for each in references(ast.parse(text).body[0])]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = (  1 )  # why"),
        ("def f():\n 'doc'\n return 1", "def f():\n return 1"),
        ("class A:\n 'doc'\n x = 1\n 'about x'", "class A:\n x = 1"),
        ("def f(a: int) -> str: return a", "def f(a): return a"),
        ("def f():\n x: int = 1\n return x", "def f():\n x = 1\n return x"),
        ("x = 'a' 'b'", 'x = "ab"'),
        ("x = u'a'", "x = 'a'"),
        ("x = f'a' 'b' f'{c}'", "x = f'ab{c}'"),
        ("x = 0x10", "x = 16"),
        ("@fs.register_feature(owner='me')\ndef f(): pass", "@register_feature\ndef f(): pass"),
    ],
)
def test_what_changes_no_value_is_left_out(one: str, other: str) -> None:
    assert _walk(one) == _walk(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 0.0", "x = -0.0"),
        ("x = 'a'", "x = b'a'"),
        ("x = ...", "x = None"),
        ("x = 1j", "x = 1"),
        ("x = f'{a!r}'", "x = f'{a}'"),
        ("x = f'{a:>3}'", "x = f'{a:>4}'"),
        ("x = f'{a}b{c}'", "x = f'{a}{c}b'"),
        ("f(a, *b)", "f(*a, b)"),
        ("{**a}", "{a: a}"),
        ("def f(a, /, b): pass", "def f(a, b): pass"),
        ("def f(*, a, b=1): pass", "def f(*, a=1, b): pass"),
        ("class A:\n x: int = 1", "class A:\n x = 1"),
        ("@cache\ndef f(): pass", "def f(): pass"),
        ("async def f(): pass", "def f(): pass"),
        ("x = [a for a in b if c]", "x = (a for a in b if c)"),
        ("global x", "global y"),
        ("return_ = -1", "return_ = +1"),
    ],
)
def test_what_may_change_a_value_is_in(one: str, other: str) -> None:
    assert _walk(one) != _walk(other)


def test_huge_integers_are_written() -> None:
    assert _walk(f"x = 0x{'f' * 9000}") != _walk(f"x = 0x{'f' * 8999}e")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("def f(a): return a + b", ["b"]),
        ("def f():\n x = y\n return x", ["y"]),
        ("def f(): return helpers.events().n", ["helpers.events"]),
        ("def f(a=LIMIT, *, b=OTHER): pass", ["LIMIT", "OTHER"]),
        ("def f(): return [x for x in xs if x > low]", ["xs", "low"]),
        ("def f(): return [x for x in x]", ["x"]),
        ("def f():\n if (n := g()): return n", ["g"]),
        ("def f():\n [(last := x) for x in xs]\n return last", ["xs"]),
        ("def f(): return lambda x, y=z: x + y + w", ["z", "w"]),
        ("def f():\n def g(a): return a + b\n b = 1\n return g", []),
        ("def f():\n try: pass\n except E as e: return e", ["E"]),
        ("def f():\n global n\n n = n + 1", ["n"]),
        ("def f():\n match a:\n  case C(x=1, y=[z, *rest]): return z, rest", ["a", "C"]),
        ("class A(B):\n x = 1\n def m(self): return x", ["B", "x"]),
        ("class A:\n x = 1\n y = x", []),
        ("def f(a: Ann) -> Res:\n b: Loc = 1\n return b", []),
        ("@fs.register_feature(owner=ME)\n@cached\ndef f(): pass", ["cached"]),
        ("def f():\n from m import g as h\n return h.x", ["h.x"]),
        ("def f():\n for i in xs:\n  with o(i) as w: del w", ["xs", "o"]),
        ("async def f():\n async for x in xs: yield x", ["xs"]),
    ],
)
def test_names_from_outside_are_found_by_scope(text: str, names: list[str]) -> None:
    assert sorted(_names(text)) == sorted(names)


def test_an_import_in_the_body_says_where_the_name_comes_from() -> None:
    (found,) = references(ast.parse("def f():\n from ..m import g as h\n return h()").body[0])
    assert found.imported is not None
    assert (found.imported.module, found.imported.name, found.imported.level) == ("m", "g", 2)


# Run by hand with these very digests under Python 3.11.7, 3.12.1 and 3.13.0. One that changes makes every stored
# result of every user stale: then raise the version in fingerprint.py, and say so in the changelog.
CASES = {
    "f-strings": ("def f(a, w):\n return f'x' 'y' f'{a!r:>{w}}' f'{a=}' f'{a:%Y-%m}' f\"\" f'{{{a}}}'\n"),
    "function": (
        "@fs.register_feature(owner='me')\n"
        "@cache\n"
        "async def f(a: int, /, b=1, *c, d, e=None, **g) -> int:\n"
        " 'doc'\n"
        " x: int = 2**200\n"
        " y: str\n"
        " async with a as z: pass\n"
        " return [*c, {**g}, -0.0, 1e400, ..., 1j, b'x']\n"
    ),
    "class": ("class A(B, metaclass=M):\n 'doc'\n x: int = 1\n @property\n def p(self): return self.x\n"),
    "match": ("match a:\n case {'k': [1, *r], **o} | C(x=None): pass\n case _ if b: pass\n"),
    "flow": (
        "try:\n"
        " x = [i for i in y if i][1:, ::2]\n"
        "except* E as e: raise X from e\n"
        "else: pass\n"
        "finally: del x\n"
        "while (n := g()): n += 1\n"
        "lambda *, k=1: (yield k)\n"
    ),
}
GOLDEN = {
    "f-strings": "7d7e31a70fc470750cb8c9a3f396675f",
    "function": "898216aaa5b1410d598d9dbdcb44176f",
    "class": "48dc8b20eb05566926bf5ec69efbc058",
    "match": "8a252397477bb0f4971d197edba73066",
    "flow": "76bceca487a293f312026b881765363a",
}


@pytest.mark.parametrize("case", GOLDEN)
def test_the_walk_is_the_same_on_every_python(case: str) -> None:
    assert hashlib.blake2b(_walk(CASES[case]), digest_size=16).hexdigest() == GOLDEN[case]
