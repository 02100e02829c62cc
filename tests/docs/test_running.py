"""The judge of the documents is judged first: what is wrong in a document is found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.documents import read

RUNNER = Path(__file__).with_name("running.py")


def document(folder: Path, text: str) -> Path:
    path = folder / "a-document.md"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(folder: Path, text: str, *options: str) -> str:
    command = [sys.executable, str(RUNNER), *options, str(document(folder, text))]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert (done.returncode == 0) == (not done.stderr)
    return done.stderr


def test_blocks_share_a_namespace_and_show_their_last_value(tmp_path: Path) -> None:
    text = "```python\na = 1\n```\n\n```python\nprint(a)\na + 1\n```\n\n```text\n1\n2\n```\n"
    assert complaint(tmp_path, text) == ""


def test_other_output_is_found(tmp_path: Path) -> None:
    found = complaint(tmp_path, "```python\n1 + 1\n```\n```text\n3\n```\n")
    assert "the document says:\n3\nit shows:\n2" in found
    assert "a-document.md:1" in found


def test_other_output_is_no_matter_where_any_will_do(tmp_path: Path) -> None:
    assert complaint(tmp_path, "```python\n1 + 1\n```\n```text\n3\n```\n", "--any-output") == ""


def test_a_block_that_fails_is_found(tmp_path: Path) -> None:
    assert "ZeroDivisionError" in complaint(tmp_path, "```python\n1 / 0\n```\n")


def test_an_error_may_be_what_is_shown(tmp_path: Path) -> None:
    text = "```python\n1 / 0\n```\n```text\nZeroDivisionError: division by zero\n```\n"
    assert complaint(tmp_path, text) == ""


def test_an_error_that_does_not_come_is_found(tmp_path: Path) -> None:
    assert "it shows" in complaint(tmp_path, "```python\n1\n```\n```text\nValueError: no\n```\n")


def test_a_session_is_compared(tmp_path: Path) -> None:
    assert complaint(tmp_path, "```python\n>>> 1 + 1\n2\n```\n") == ""
    assert "Expected" in complaint(tmp_path, "```python\n>>> 1 + 1\n3\n```\n")


def test_a_block_that_is_a_file_is_saved_and_imported(tmp_path: Path) -> None:
    text = "```python\n# deep/numbers_here.py\none = 1\n```\n```python\nfrom deep.numbers_here import one\none\n```\n"
    assert complaint(tmp_path, text + "```text\n1\n```\n") == ""


def test_a_function_has_the_name_and_the_source_of_a_script(tmp_path: Path) -> None:
    text = "```python\nimport inspect, math\ndef f(): return math.sqrt(4)\ninspect.getsource(f), __file__[-13:]\n```\n"
    assert complaint(tmp_path, text + "```text\n('def f(): return math.sqrt(4)\\n', '/a_document.py')\n```\n") != ""
    assert complaint(tmp_path, text + "```text\n('def f(): return math.sqrt(4)\\n', 'a_document.py')\n```\n") == ""


def test_a_notebook_has_no_file(tmp_path: Path) -> None:
    text = "<!-- notebook -->\n```python\n'__file__' in globals(), __name__\n```\n```text\n(False, '__main__')\n```\n"
    assert complaint(tmp_path, text) == ""


def test_a_fragment_with_a_reason_does_not_run(tmp_path: Path) -> None:
    assert complaint(tmp_path, "<!-- not run: it never ends -->\n```python\nwhile True: ...\n```\n") == ""


def test_output_without_a_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a-document\.md:1: output without a block"):
        read(document(tmp_path, "```text\n3\n```\n"))


def test_an_open_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a-document\.md:3: a block is not closed"):
        read(document(tmp_path, "\n\n```python\n1\n"))
