"""The layers of the package as a table, and a reader of imports that holds the code against it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "featurestore"
OUTERMOST = 8
"""The layer of the package's own face and of all that is built on it, by public names only."""

LAYERS: dict[str, int] = {
    "errors": 0,
    "dtypes": 0,
    "instants": 0,
    "declare": 1,
    "resolvers": 1,
    "rows": 2,
    "repository": 2,
    "statistics": 2,
    "planning": 3,
    "windows": 3,
    "frames": 4,
    "engines": 4,
    "online": 4,
    "materializer": 4,
    "registry": 4,
    "log": 4,
    "streams": 4,
    "datasets": 4,
    "run": 5,
    "testing": 5,
    "verification": 6,
    "settings": 6,
    "adapters": 6,
    "store": 7,
    "cli": OUTERMOST,
    "server": OUTERMOST,
    "client": OUTERMOST,
    "catalogue": OUTERMOST,
    "integrations": OUTERMOST,
    "feast": OUTERMOST,
    "demo": OUTERMOST,
}
"""The layer of each room: a module or folder directly below the package."""

EVERYWHERE = "errors"
"""The one room that every room may import, also those beside it: whatever goes wrong is said in one way."""

PUBLIC_ROOMS = frozenset({"errors", "frames", "materializer"})
"""Rooms that all may import by their own path (`from featurestore.materializer.parquet import ...`), so layer 8 may."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import of the package's own code: of a room, or of the package's face (`room` is then empty)."""

    line: int
    room: str


@dataclass(frozen=True, slots=True)
class Violation:
    """An import that points upwards or sideways."""

    file: Path
    line: int
    importer: str
    imported: str
    fix: str

    def __str__(self) -> str:
        importer, imported = _placed(self.importer), _placed(self.imported)
        return f"{self.file}:{self.line}: {importer} imports {imported}\n    fix: {self.fix}"


def violations(package: Path) -> list[Violation]:
    """Read every module below the folder `package` and name each import that breaks the order of the layers."""
    rooms = {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()} | LAYERS.keys()
    found = []
    for file in sorted(package.rglob("*.py")):
        room = _room_of(file, package)
        for statement in imports(file, package, rooms):
            fix = _fix(room, statement.room)
            if fix:
                found.append(Violation(file, statement.line, room, statement.room, fix))
    return found


def unplaced(package: Path) -> list[str]:
    """The rooms that exist and have no layer."""
    rooms = {_room_of(file, package) for file in package.rglob("*.py")}
    return sorted(rooms - LAYERS.keys() - {""})


def imports(file: Path, package: Path, rooms: set[str]) -> Iterator[Import]:
    """Every import of the package's own code in a file, wherever it stands."""
    here = (PACKAGE, *file.relative_to(package).with_suffix("").parts)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        for parts in _targets(node, here):
            if parts[0] == PACKAGE:
                # A name that is no module is a name of the package's face: `from featurestore import fs`.
                yield Import(node.lineno, parts[1] if len(parts) > 1 and parts[1] in rooms else "")  # type: ignore[attr-defined]  # Only statements and calls have targets, and these have lines.


def _targets(node: ast.AST, here: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    match node:
        case ast.Import(names=names):
            yield from (tuple(alias.name.split(".")) for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            # One dot is the folder that the file stands in, which for `__init__.py` is its own package.
            base = (*(here[:-level] if level else ()), *(module.split(".") if module else ()))
            yield from ((*base, alias.name) for alias in names)
        case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__")):
            match node.args:
                case [ast.Constant(value=str(name)), *_]:
                    yield tuple(name.split("."))


def _room_of(file: Path, package: Path) -> str:
    room = file.relative_to(package).parts[0].removesuffix(".py")
    return "" if room == "__init__" else room


def _fix(importer: str, imported: str) -> str:
    """What to do about an import, or nothing where it is in order."""
    if imported in {importer, EVERYWHERE} or importer == "":
        return ""
    here, there = LAYERS.get(importer, OUTERMOST), LAYERS.get(imported, OUTERMOST)
    if here == OUTERMOST:
        public = imported == "" or imported in PUBLIC_ROOMS
        return "" if public else f"layer {OUTERMOST} uses public names only: from {PACKAGE} import ..."
    if there > here:
        return f"an import points down only: move what is needed to layer {here} or below, or hand it in as an argument"
    if there == here:
        return "rooms of one layer do not know each other: let a layer above join them, or move what both need below"
    return ""


def _placed(room: str) -> str:
    return f"{PACKAGE}{'.' if room else ''}{room} (layer {LAYERS.get(room, OUTERMOST)})"
