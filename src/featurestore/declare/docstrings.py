"""What a docstring says about a feature: Google, NumPy and reST sections, and free ones such as ``Maintainer:``.

Which line opens a section (all others are prose, or belong to the section that is open):

1. Only a line that starts in the first column, outside fenced code and doctests, can.
2. NumPy: a title underlined by three or more ``-`` or ``=``; a well-known title anywhere, another after a blank line.
   The section then lasts to the next header, unindented lines included.
3. reST: ``:param x: text`` and its well-known relatives anywhere; another ``:name: text`` at the start of a paragraph
   or below another section line.
4. A *section line* is ``Name: text``, or ``Name:`` above an indented block. ``Name`` is one or two words, each with
   a capital (or a caseless letter) first, 30 characters at most; the colon stands directly after it and a space
   after the colon. So ``Note that: ...``, ``http://x`` and ``10:30`` never open one.
5. Section lines count where they are the whole paragraph, or where the paragraph starts with a well-known one
   (``Maintainer:``, ``Status:``, ...; its unindented lines then continue it), or where they end the paragraph and a
   well-known one is among them. A well-known ``Name:`` directly above an indented block counts anywhere.
   One in the middle of prose does not.
6. The first line of the docstring is its summary, unless it bears a well-known name. In a NumPy section only a whole
   paragraph of section lines with a well-known one among them counts.

A section owns the indented lines below it, blank lines between included; unindented lines below those are prose again.
Sections of one name are joined.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Documentation", "Texts", "parse", "tags_of"]

_PARAMS = frozenset(
    ["args", "arguments", "parameters", "params", "keyword args", "keyword arguments", "other parameters"]
)
_RETURNS = frozenset(["returns", "return", "yields", "yield"])
_RAISES = frozenset(["raises"])
_EXAMPLES = frozenset(["example", "examples"])
_METADATA = frozenset(
    ["author", "authors", "contact", "maintainer", "maintainers", "owner", "owners", "status", "tag", "tags", "team"]
)
_ADMONITIONS = frozenset(
    ["attributes", "note", "notes", "references", "see also", "todo", "warning", "warnings", "warns"]
)
_KNOWN_INLINE = _METADATA | _RETURNS
_KNOWN_TITLES = _KNOWN_INLINE | _PARAMS | _RAISES | _EXAMPLES | _ADMONITIONS

_REST_PARAMS = frozenset(["param", "parameter", "arg", "argument", "key", "keyword"])
_REST_RAISES = frozenset(["raises", "raise", "except", "exception"])
_REST_TYPES = frozenset(["type", "rtype", "ytype", "vartype"])
_REST_KNOWN = _REST_PARAMS | _REST_RAISES | _REST_TYPES | _KNOWN_INLINE

_SECTION_LINE = re.compile(r"(?P<name>[^\W\d_][\w-]*(?: [^\W\d_][\w-]*)?)(?P<colon>::?)(?: +(?P<text>\S.*)| *)")
_TITLE = re.compile(r"[^\W\d_][\w-]*(?: [\w-]+){0,2}")
_UNDERLINE = re.compile(r"(?:-{3,}|={3,}) *")
_FIELD = re.compile(r":(?P<name>[^\W\d_][^:`]*):(?: +(?P<text>.*)|)")
_FENCE = re.compile(r"\s*(```|~~~)")
_NAMES = r"[*\\`\w.]+(?: *, *[*\\`\w.]+)*"
_GOOGLE_ENTRY = re.compile(rf"(?P<names>{_NAMES}) *(?:\((?:[^()]|\([^()]*\))*\))? *:(?: +(?P<text>.*)|)")
_NUMPY_ENTRY = re.compile(rf"(?P<names>{_NAMES})(?: *:.*)?")
_RETURN_TYPE = re.compile(r"[\w.]+(?:\[[^:]*\])?: +(?=\S)")
_LONGEST_NAME = 30


@dataclass(frozen=True, slots=True, eq=False)
class Texts(Mapping[str, str]):
    """Texts by name, in the order written: a mapping that cannot change, hashes and pickles.

    Example:
        >>> Texts((("Status", "stable"),))["Status"]
        'stable'
    """

    pairs: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, key: str) -> str:
        for name, text in self.pairs:
            if name == key:
                return text
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __hash__(self) -> int:
        return hash(frozenset(self.pairs))  # equality of mappings does not look at the order


@dataclass(frozen=True, slots=True)
class Documentation:
    """A docstring, read. Texts are dedented and keep their line breaks; what is not there is empty."""

    summary: str = ""
    """The first paragraph on one line; its first line alone where that ends a sentence."""
    description: str = ""
    """The rest of the prose, also the one between and below sections."""
    params: Texts = field(default_factory=Texts)
    """Parameter name (without stars) to text; types are dropped."""
    returns: str = ""
    raises: Texts = field(default_factory=Texts)
    sections: Texts = field(default_factory=Texts)
    """All other sections, by name as written."""
    examples: str = ""

    def section(self, name: str) -> str:
        """Return the text of the section ``name``, in whatever case it was written; ``""`` if there is none.

        Example:
            >>> parse("Maintainer: Ana <ana@x.org>").section("maintainer")
            'Ana <ana@x.org>'
        """
        wanted = name.casefold()
        return next((text for key, text in self.sections.pairs if key.casefold() == wanted), "")


def parse(docstring: str | None) -> Documentation:
    """Return what ``docstring`` says; every text is accepted. The module's docstring has the rules.

    Example:
        >>> read = parse('''Number of trips of a driver.
        ...
        ... Args:
        ...     when (datetime): the end of the day counted, UTC
        ...
        ... Status: experimental
        ... ''')
        >>> read.summary, dict(read.params), dict(read.sections)
        ('Number of trips of a driver.', {'when': 'the end of the day counted, UTC'}, {'Status': 'experimental'})
    """
    lines = _cleaned(docstring or "")
    prose, sections = _split(lines, _headers(lines))
    summary, description = _summary(prose)
    return Documentation(
        summary=summary,
        description=description,
        params=_entries(section for section in sections if section.subject is _Subject.PARAMS),
        returns=_joined(_returned(section) for section in sections if section.subject is _Subject.RETURNS),
        raises=_entries(section for section in sections if section.subject is _Subject.RAISES),
        sections=_texts((each.name, each.text) for each in sections if each.subject is _Subject.FREE),
        examples=_joined((each.text for each in sections if each.subject is _Subject.EXAMPLES), "\n\n"),
    )


def tags_of(text: str) -> tuple[str, ...]:
    """Return the tags of a list separated by commas or lines (bullets dropped), each once, in the order written.

    Example:
        >>> tags_of("trips, per day, trips")
        ('trips', 'per day')
    """
    tags = (" ".join(part.split()).removeprefix("- ").removeprefix("* ") for part in re.split(r"[,\n]", text))
    return tuple(dict.fromkeys(tag for tag in tags if tag))


class _Style(Enum):
    GOOGLE = "google"
    NUMPY = "numpy"
    REST = "rest"


class _Subject(Enum):
    """What a section is about; a type is read and dropped."""

    PARAMS = "params"
    RETURNS = "returns"
    RAISES = "raises"
    EXAMPLES = "examples"
    TYPES = "types"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class _Header:
    """A line that may open a section; ``known`` ones need less around them, ``strong`` ones nothing."""

    style: _Style
    name: str
    text: str = ""
    known: bool = False
    strong: bool = False


@dataclass(frozen=True, slots=True)
class _Section:
    header: _Header
    body: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.header.name

    @property
    def text(self) -> str:
        """What follows the colon, and the lines below it, dedented."""
        return _joined([self.header.text.strip(), _dedented(self.body)])

    @property
    def subject(self) -> _Subject:
        rest = self.header.style is _Style.REST
        kind = self.name.split()[0].casefold() if rest else self.name.casefold()
        if rest and kind in _REST_TYPES:
            return _Subject.TYPES
        if kind in (_REST_PARAMS if rest else _PARAMS):
            return _Subject.PARAMS
        if kind in (_REST_RAISES if rest else _RAISES):
            return _Subject.RAISES
        if kind in _RETURNS:
            return _Subject.RETURNS
        return _Subject.EXAMPLES if kind in _EXAMPLES else _Subject.FREE


def _cleaned(text: str) -> list[str]:
    unix = text.replace("\r\n", "\n").replace("\r", "\n")
    return [line.rstrip() for line in inspect.cleandoc(unix).split("\n")]


def _is_indented(line: str) -> bool:
    return line[:1].isspace()


# Which lines are headers -----------------------------------------------------------------------------------------


def _headers(lines: Sequence[str]) -> dict[int, _Header]:
    """Return the headers by line number: rules 1 to 6, paragraph by paragraph."""
    code = _code_lines(lines)
    found: dict[int, _Header] = {}
    in_numpy = False
    for paragraph in _paragraphs(lines):
        starts = [index for index in paragraph if not _is_indented(lines[index])]
        titles = _numpy_titles(lines, {index for index in starts if index not in code})
        in_numpy = in_numpy or bool(titles)
        candidates = {index: None if index in code else _candidate(lines, index) for index in starts}
        chosen = titles | _chosen(candidates, in_numpy=in_numpy)
        # A paragraph of section lines ends the NumPy section above it.
        in_numpy = in_numpy and not (starts and starts[0] in chosen and not titles)
        found |= chosen
    return found


def _paragraphs(lines: Sequence[str]) -> Iterator[range]:
    start = 0
    for index in range(len(lines) + 1):
        if index == len(lines) or not lines[index]:
            if index > start:
                yield range(start, index)
            start = index + 1


def _code_lines(lines: Sequence[str]) -> set[int]:
    """Return the lines in closed fences, and from a ``>>>`` to the next blank line."""
    code: set[int] = set()
    in_doctest = False
    for index, line in enumerate(lines):
        if index in code:
            continue
        in_doctest = bool(line) and (in_doctest or line.lstrip().startswith(">>>"))
        fence = None if in_doctest else _FENCE.match(line)
        if fence:
            code |= _fenced(lines, index, fence[1])
        if in_doctest:
            code.add(index)
    return code


def _fenced(lines: Sequence[str], start: int, fence: str) -> set[int]:
    for end in range(start + 1, len(lines)):
        if lines[end].strip() == fence:
            return set(range(start, end + 1))
    return set()


def _numpy_titles(lines: Sequence[str], starts: AbstractSet[int]) -> dict[int, _Header]:
    titles = {}
    for index in starts:
        title = lines[index]
        if index + 1 in starts and _UNDERLINE.fullmatch(lines[index + 1]) and _TITLE.fullmatch(title):
            known = title.casefold() in _KNOWN_TITLES
            # An unknown title on the first line is the summary.
            if known or (index > 0 and not lines[index - 1] and not title[0].islower()):
                titles[index] = _Header(_Style.NUMPY, title, known=known)
    return titles


def _candidate(lines: Sequence[str], index: int) -> _Header | None:
    rest = _FIELD.fullmatch(lines[index])
    if rest and rest["name"].strip() == rest["name"]:
        known = rest["name"].split()[0].casefold() in _REST_KNOWN
        return _Header(_Style.REST, rest["name"], rest["text"] or "", known=known, strong=known)
    line = _SECTION_LINE.fullmatch(lines[index])
    if line is None or (line["text"] and line["colon"] == "::"):
        return None
    header = _inline_header(line) if line["text"] else _bare_header(line, lines, index)
    return None if header and index == 0 and not header.known else header


def _inline_header(line: re.Match[str]) -> _Header | None:
    known = line["name"].casefold() in _KNOWN_INLINE
    named = _is_name(line["name"]) or (known and not line["name"][0].islower())
    return _Header(_Style.GOOGLE, line["name"], line["text"], known=known) if named else None


def _bare_header(line: re.Match[str], lines: Sequence[str], index: int) -> _Header | None:
    below = next((lines[later] for later in range(index + 1, len(lines)) if lines[later]), "")
    touching = index + 1 < len(lines) and bool(lines[index + 1])
    known = line["name"].casefold() in _KNOWN_TITLES and not line["name"][0].islower()
    if not known and (line["colon"] == "::" or not _is_name(line["name"])):
        return None
    if not (_is_indented(below) or (known and touching)):
        return None
    return _Header(_Style.GOOGLE, line["name"], known=known, strong=known and touching and _is_indented(below))


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and not any(word[0].islower() for word in text.split(" "))


def _chosen(candidates: Mapping[int, _Header | None], *, in_numpy: bool) -> dict[int, _Header]:
    """Return the candidates of one paragraph that are headers: rule 5, and rule 6 for NumPy sections."""
    found = {index: header for index, header in candidates.items() if header}
    strong = {index: header for index, header in found.items() if header.strong}
    whole = len(found) == len(candidates)
    known = any(header.known for header in found.values())
    if in_numpy:
        return found if whole and known else strong
    first = next(iter(candidates.values()), None)
    if whole or (first and first.known):
        return found
    tail = _tail(candidates)
    return strong | tail if any(header.known for header in tail.values()) else strong


def _tail(candidates: Mapping[int, _Header | None]) -> dict[int, _Header]:
    tail: dict[int, _Header] = {}
    for index, header in reversed(list(candidates.items())):
        if header is None:
            break
        tail[index] = header
    return dict(sorted(tail.items()))


# What belongs to which section -----------------------------------------------------------------------------------


def _split(lines: Sequence[str], headers: Mapping[int, _Header]) -> tuple[list[str], list[_Section]]:
    """Return the lines of prose, and the sections with theirs."""
    prose: list[str] = []
    bodies: list[tuple[_Header, list[str]]] = []
    body = prose
    for index, line in enumerate(lines):
        if index in headers:
            body = []
            bodies.append((headers[index], body))
        elif index - 1 in headers and headers[index - 1].style is _Style.NUMPY:
            continue  # the underline
        else:
            if bodies and body is not prose and _leaves(line, lines[index - 1], bodies[-1][0]):
                body = prose
                body.append("")
            body.append(line)
    return prose, [_Section(header, tuple(body)) for header, body in bodies]


def _leaves(line: str, above: str, header: _Header) -> bool:
    """Tell whether ``line`` is prose again: in the first column below a blank or indented line, outside NumPy."""
    unindented = bool(line) and not _is_indented(line)
    return unindented and (not above or _is_indented(above)) and header.style is not _Style.NUMPY


def _summary(prose: Sequence[str]) -> tuple[str, str]:
    lines = "\n".join(prose).strip("\n").split("\n")
    if lines[0].lstrip().startswith(">>>") or _FENCE.match(lines[0]):
        return "", _squeezed(lines)
    end = lines.index("") if "" in lines else len(lines)
    if lines[0].endswith((".", "!", "?")):
        end = 1
    head = [line for line in lines[:end] if not _UNDERLINE.fullmatch(line)]
    return " ".join(line.strip() for line in head), _squeezed(lines[end:])


def _squeezed(lines: Sequence[str]) -> str:
    """Join lines; where a section was taken out, one blank line stays."""
    kept = [line for index, line in enumerate(lines) if line or (index and lines[index - 1])]
    return "\n".join(kept).strip("\n")


def _dedented(lines: Sequence[str]) -> str:
    margin = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return "\n".join(line[margin:] for line in lines).strip("\n")


def _joined(texts: Iterable[str], separator: str = "\n") -> str:
    return separator.join(text for text in texts if text)


def _texts(pairs: Iterable[tuple[str, str]]) -> Texts:
    """Gather pairs under the first spelling of each name; the texts of one name are joined."""
    spelling: dict[str, str] = {}
    texts: dict[str, str] = {}
    for name, text in pairs:
        key = spelling.setdefault(name.casefold(), name)
        texts[key] = _joined([texts.get(key, ""), text])
    return Texts(tuple(texts.items()))


# What the entries of a section say -------------------------------------------------------------------------------


def _entries(sections: Iterable[_Section]) -> Texts:
    gathered: dict[str, str] = {}
    for section in sections:
        for name, text in _entries_of(section):
            if name:  # A `*` alone stands between parameters and is none.
                gathered[name] = _joined([gathered.get(name, ""), text])
    return Texts(tuple(gathered.items()))


def _entries_of(section: _Section) -> Iterator[tuple[str, str]]:
    if section.header.style is _Style.REST:
        names = section.name.split()[1:]
        return iter([(_bare(names[-1]), section.text)] if names else [])
    pattern = _NUMPY_ENTRY if section.header.style is _Style.NUMPY else _GOOGLE_ENTRY
    return _listed(section.text.split("\n"), pattern)


def _listed(lines: Sequence[str], pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Yield name and text of a list whose entries start in the first column; other lines continue an entry."""
    names: list[str] = []
    head, body = "", list[str]()
    for line in lines:
        entry = pattern.fullmatch(line)
        if not entry:
            body.append(line)
            continue
        yield from ((name, _joined([head, _dedented(body)])) for name in names)
        names = [_bare(name) for name in entry["names"].split(",")]
        head, body = (entry.groupdict().get("text") or "").strip(), []
    yield from ((name, _joined([head, _dedented(body)])) for name in names)


def _bare(name: str) -> str:
    return name.strip().strip("\\*`")


def _returned(section: _Section) -> str:
    """Return the text without the type: NumPy's line above the indented text, Google's word before a colon."""
    if section.header.style is _Style.NUMPY:
        indented = [line for line in section.text.split("\n") if not line or _is_indented(line)]
        return _dedented(indented) or section.text
    return section.text if section.header.style is _Style.REST else _RETURN_TYPE.sub("", section.text, count=1)
