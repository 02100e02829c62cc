"""Documents read as programs: the fenced blocks of a Markdown file, and what the text says they show.

    ```python          runs, after the blocks above it and in the same namespace
    ```text            right after such a block: what it shows, compared; "..." stands for anything
    ```sh              commands, checked to exist
    <!-- not run -->   right above a block: a fragment that cannot run; says why
    <!-- notebook -->  anywhere: the blocks are cells of a notebook, not parts of a script

A block that starts with a comment such as ``# features/events.py`` is a file: it is saved, and imported as a module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "Document", "read"]

_FENCE = re.compile(r"^```(\w*)\s*$")
_FILE = re.compile(r"^# ([\w/]+\.py)(?:\s.*)?$")
_NOT_RUN = re.compile(r"^<!-- not run: .+ -->$")
_NOTEBOOK = "<!-- notebook -->"


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    language: str
    line: int
    """Number of the line of the opening fence, from 1."""
    text: str
    run: bool
    shown: str | None = None
    """What the ``text`` block below it says."""

    @property
    def file(self) -> str | None:
        """The file that the block is, if it says so."""
        match = _FILE.match(self.text.partition("\n")[0])
        return match[1] if match else None

    @property
    def is_session(self) -> bool:
        """Whether it is written as at the prompt, with ``>>>``."""
        return self.text.lstrip().startswith(">>>")


@dataclass(frozen=True, slots=True)
class Document:
    """One Markdown file."""

    path: Path
    blocks: tuple[Block, ...]
    notebook: bool

    @property
    def python(self) -> tuple[Block, ...]:
        """The blocks that run."""
        return tuple(block for block in self.blocks if block.language == "python" and block.run)


def read(path: Path) -> Document:
    """Read a document.

    Raises:
        ValueError: a block that is not closed, or output that no block shows.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    blocks: list[Block] = []
    number = 0
    while number < len(lines):
        match = _FENCE.match(lines[number])
        if match is None:
            number += 1
            continue
        end = _end(lines, number, path)
        _add(blocks, Block(match[1], number + 1, "\n".join(lines[number + 1 : end]), _runs(lines, number)), path)
        number = end + 1
    return Document(path, tuple(blocks), _NOTEBOOK in lines)


def _end(lines: list[str], start: int, path: Path) -> int:
    for number in range(start + 1, len(lines)):
        if lines[number] == "```":
            return number
    raise ValueError(f"{path}:{start + 1}: a block is not closed")


def _runs(lines: list[str], fence: int) -> bool:
    above = next((line for line in reversed(lines[:fence]) if line.strip()), "")
    return _NOT_RUN.match(above) is None


def _add(blocks: list[Block], block: Block, path: Path) -> None:
    if block.language != "text":
        blocks.append(block)
        return
    if not blocks or blocks[-1].language != "python" or blocks[-1].shown is not None:
        raise ValueError(f"{path}:{block.line}: output without a block that shows it")
    above = blocks[-1]
    blocks[-1] = Block(above.language, above.line, above.text, above.run, block.text)
