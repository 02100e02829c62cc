"""Run one document in this process, as its reader would: ``python running.py [--any-output] document.md``.

The working folder is where files of the document are saved. The blocks are one script named after the document, or
the cells of a notebook. Ends with status 1, and says why, at the first block that fails or shows something else.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import io
import linecache
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.docs.documents import Block, Document, read

_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Failure(Exception):
    """A block does not do what the document says."""


def run(document: Document, *, any_output: bool) -> None:
    """Run the blocks of ``document`` one after the other."""
    main = _main(document)
    for block in document.python:
        with _placed(document, block):
            shown = _run(document, block, main)
            if block.shown is not None and not any_output:
                _compare(block.shown, shown)


def _main(document: Document) -> types.ModuleType:
    """Return the module in which the blocks run: ``__main__``, as for a script or a notebook."""
    main = types.ModuleType("__main__")
    if not document.notebook:
        script = Path(f"{_stem(document)}.py").absolute()
        script.write_text(_script(document), encoding="utf-8")
        main.__file__ = str(script)
    sys.modules["__main__"] = main
    return main


def _stem(document: Document) -> str:
    return "tour" if document.path.name == "README.md" else document.path.stem.replace("-", "_")


def _script(document: Document) -> str:
    """Return all blocks as one file, each at the lines that it has in the document."""
    lines: list[str] = []
    for block in document.python:
        if block.file is None and not block.is_session:
            lines += [""] * (block.line - len(lines))
            lines += block.text.splitlines()
    return "\n".join(lines) + "\n"


def _run(document: Document, block: Block, main: types.ModuleType) -> str:
    if block.file is not None:
        return _run_file(block, block.file)
    if block.is_session:
        return _run_session(document, block, main)
    return _run_code(document, block, main)


def _run_file(block: Block, name: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text + "\n", encoding="utf-8")
    importlib.invalidate_caches()
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        importlib.import_module(name.removesuffix(".py").replace("/", "."))
    return shown.getvalue()


def _run_session(document: Document, block: Block, main: types.ModuleType) -> str:
    test = doctest.DocTestParser().get_doctest(block.text, main.__dict__, document.path.name, None, block.line)
    test.globs = main.__dict__
    report = io.StringIO()
    if doctest.DocTestRunner(optionflags=_OPTIONS).run(test, out=report.write, clear_globs=False).failed:
        raise Failure(report.getvalue())
    return ""


def _run_code(document: Document, block: Block, main: types.ModuleType) -> str:
    filename, offset = _place(document, block, main)
    statements = ast.parse("\n" * offset + block.text, filename).body
    last = statements.pop() if isinstance(statements[-1], ast.Expr) else None
    statements.insert(0, _imports(document))
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        try:
            # Not with our own __future__ imports: documents are written as their readers write.
            exec(compile(ast.Module(statements, []), filename, "exec", dont_inherit=True), main.__dict__)
            if isinstance(last, ast.Expr):
                _show(eval(compile(ast.Expression(last.value), filename, "eval", dont_inherit=True), main.__dict__))
        except Exception as error:
            name = f"{type(error).__name__}: "
            if block.shown is None or name not in block.shown:
                raise
            print(f"{name}{error}")
    return shown.getvalue()


def _imports(document: Document) -> ast.stmt:
    """Return the script's imports as code that never runs.

    Calls of what a module imports compile to other instructions than other calls do, so a block compiled by itself
    would not give the code of the script that it is a part of.
    """
    script = ast.parse(_script(document))
    imports: list[ast.stmt] = [each for each in script.body if isinstance(each, ast.Import | ast.ImportFrom)]
    never = ast.If(ast.Constant(value=False), [*imports, ast.Pass()], [])
    return ast.fix_missing_locations(ast.copy_location(never, script))


def _show(value: object) -> None:
    """Show the value of a block's last line, as a notebook does."""
    if value is not None:
        print(repr(value))


def _place(document: Document, block: Block, main: types.ModuleType) -> tuple[str, int]:
    """Return the file that the block's code is in, and how many lines are above it there."""
    if not document.notebook:
        return str(main.__file__), block.line
    cell = f"<ipython-input-{block.line}>"  # as a notebook names its cells, whose text is in the line cache
    linecache.cache[cell] = (len(block.text), None, [line + "\n" for line in block.text.splitlines()], cell)
    return cell, 0


def _compare(expected: str, shown: str) -> None:
    if not doctest.OutputChecker().check_output(_trimmed(expected), _trimmed(shown), _OPTIONS):
        raise Failure(f"the document says:\n{expected}\nit shows:\n{_trimmed(shown)}")


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"


@contextlib.contextmanager
def _placed(document: Document, block: Block) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the block at {document.path}:{block.line}")
        raise


def _told(arguments: list[str]) -> tuple[Path, dict[str, Any]]:
    return Path(arguments[-1]), {"any_output": "--any-output" in arguments}


if __name__ == "__main__":
    sys.path[0:2] = [str(Path.cwd())]
    path, options = _told(sys.argv[1:])
    run(read(path), **options)
