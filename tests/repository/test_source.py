from __future__ import annotations

import ast
import types

from featurestore.repository.source import Sources
from tests.repository.projects import Project


def _text(node: ast.AST | None) -> str:
    return "" if node is None else ast.unparse(node)


def test_lambdas_on_one_line_are_told_apart(project: Project) -> None:
    module = project.run("fs = [lambda x: x, lambda x=1: x, lambda: (lambda: 5)]\n")
    sources = Sources()
    assert [_text(sources.function(each)) for each in module.fs] == [
        "lambda x: x",
        "lambda x=1: x",
        "lambda: lambda: 5",
    ]
    assert _text(sources.function(module.fs[2]())) == "lambda: 5"


def test_of_two_functions_of_one_name_the_one_that_runs_is_found(project: Project) -> None:
    module = project.run("def f(a=1): return 0\ng = f\ndef f(a=2): return 0\n")
    assert "a=1" in _text(Sources().function(module.g))
    assert "a=2" in _text(Sources().function(module.f))


def test_a_decorated_function_is_found_with_its_decorators(project: Project) -> None:
    module = project.run("import functools\n@functools.wraps(\n  len\n)\ndef f(): pass\ndef g(): pass\n")
    assert _text(Sources().function(module.g)) == "def g():\n    pass"


def test_a_text_that_was_captured_outlives_an_edit(project: Project) -> None:
    module, sources = project.run("def f(): return 1\n", "captured"), Sources()
    sources.capture(module.f)
    project.write("def f(): return 22\n", "captured")
    assert _text(sources.function(module.f)) == "def f():\n    return 1"


def test_an_edited_file_does_not_speak_for_code_that_ran_before(project: Project) -> None:
    module = project.run("def f(): return 1\n", "stale")
    project.write("def f(): return 22\n", "stale")
    assert Sources().function(module.f) is None


def test_a_file_that_is_no_python_any_more_is_no_error(project: Project) -> None:
    module = project.run("def f(): return 1\n", "broken")
    project.write("def f( return\0", "broken")
    assert Sources().function(module.f) is None


def test_a_deleted_file_is_no_error(project: Project) -> None:
    module = project.run("def f(): return 1\n", "deleted")
    (project.folder / "deleted.py").unlink()
    assert Sources().function(module.f) is None


def test_a_file_of_a_thousand_functions_is_parsed_once(project: Project) -> None:
    module, sources = project.run("".join(f"def f{i}(): return {i}\n" for i in range(1000)), "large"), Sources()
    functions = [each for each in vars(module).values() if isinstance(each, types.FunctionType)]
    assert all(sources.function(each) is not None for each in functions if each.__name__.startswith("f"))
    assert len(sources._parsed) == 1


def test_a_class_is_found_by_its_methods(project: Project) -> None:
    module = project.run("class A:\n n = 1\n def m(self): return 1\nB = A\nclass A:\n n = 2\n def m(self): return 2\n")
    assert "n = 1" in _text(Sources().class_(module.B, (module.B.m,)))
    assert "n = 2" in _text(Sources().class_(module.A, (module.A.m,)))
