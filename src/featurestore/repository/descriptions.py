"""The catalogue as values that print themselves: one feature described, and the list of them all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import overload

from featurestore.declare.feature import Metadata
from featurestore.repository.lineage import Lineage
from featurestore.repository.names import AnyFeature

__all__ = ["Description", "FeatureList"]


@dataclass(frozen=True, slots=True)
class Description:
    """Everything that is known of one feature. Printing it gives the page of the catalogue."""

    name: str
    qualified_name: str
    kind: str
    entity: tuple[str, ...]
    params: tuple[str, ...]
    metadata: Metadata
    schema: Mapping[str, str]
    """Column names and type names, where a declaration, a stored result or an earlier call told them."""
    lineage: Lineage
    fingerprint: str
    helpers: tuple[str, ...]
    """Project functions whose code counts as the feature's."""
    constants: tuple[str, ...]
    """Plain-data globals whose values count as the feature's code."""
    opaque: tuple[str, ...]
    """Globals that it uses and whose content cannot be known, such as connections."""
    materializations: tuple[str, ...]
    """One line for each stored result."""
    file: str
    line: int
    options: tuple[str, ...] = ()
    """What was declared beside the entity: ``ttl=``, ``every=``, ``max_age=``, ``value_type=`` and the like."""

    def __repr__(self) -> str:
        title = f"{self.qualified_name}  [{self.kind}]"
        return "\n".join([title, *(_text_row(label, lines) for label, lines in self._rows() if lines)])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left;vertical-align:top'>{escape(label)}</th>"
            f"<td style='text-align:left'><pre style='margin:0'>{escape(chr(10).join(lines))}</pre></td></tr>"
            for label, lines in self._rows()
            if lines
        )
        return f"<b>{escape(self.qualified_name)}</b> <i>{escape(self.kind)}</i><table>{rows}</table>"

    def _rows(self) -> Iterator[tuple[str, Sequence[str]]]:
        metadata = self.metadata
        yield "summary", _lines(metadata.summary)
        yield "description", _lines(metadata.description)
        yield "entity", self.entity
        yield "parameters", [_with_text(param, metadata.params) for param in self.params]
        yield "options", self.options
        yield "schema", [f"{name}: {dtype}" for name, dtype in self.schema.items()]
        yield "owner", _lines(metadata.owner)
        yield "status", _lines(metadata.status)
        yield "tags", _lines(", ".join(f"{tag}={text}" if text else tag for tag, text in metadata.tags.items()))
        for title, text in metadata.sections.items():
            if title.lower() not in ("owner", "status", "tags"):
                yield title.lower(), _lines(text)
        yield "upstream", self.lineage.upstream
        yield "downstream", self.lineage.downstream
        yield "helpers", self.helpers
        yield "constants", self.constants
        yield "opaque", self.opaque
        yield "fingerprint", _lines(self.fingerprint)
        yield "materialized", self.materializations or ("nowhere",)
        yield "defined at", _lines(f"{self.file}:{self.line}")


@dataclass(frozen=True, slots=True)
class FeatureList(Sequence[AnyFeature]):
    """The registered features, in the order of their names. Prints as a table."""

    features: tuple[AnyFeature, ...]

    @classmethod
    def of(cls, features: Iterable[AnyFeature]) -> FeatureList:
        """Return ``features`` ordered by qualified name."""
        return cls(tuple(sorted(features, key=lambda feature: feature.qualified_name)))

    def __len__(self) -> int:
        return len(self.features)

    @overload
    def __getitem__(self, index: int) -> AnyFeature: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[AnyFeature, ...]: ...

    def __getitem__(self, index: int | slice) -> AnyFeature | tuple[AnyFeature, ...]:
        return self.features[index]

    def __repr__(self) -> str:
        if not self.features:
            return "no features: decorate a function with @fs.register_feature"
        rows = [_HEADER, *map(_cells, self.features)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{escape(cell)}</th>" for cell in _HEADER)
        body = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in _cells(feature)) + "</tr>"
            for feature in self.features
        )
        return f"<table><tr>{head}</tr>{body}</table>"


_HEADER = ("feature", "kind", "parameters", "entity", "status", "owner", "summary")


def _cells(feature: AnyFeature) -> tuple[str, ...]:
    metadata = feature.metadata
    return (
        feature.qualified_name,
        str(feature.kind),
        ", ".join(param.name for param in feature.params),
        ", ".join(feature.entity),
        metadata.status,
        metadata.owner,
        metadata.summary,
    )


def _lines(text: str) -> list[str]:
    return text.splitlines()


def _with_text(param: str, texts: Mapping[str, str]) -> str:
    text = texts.get(param.partition(":")[0].partition(" ")[0], "")
    return f"{param} - {' '.join(text.split())}" if text else param


def _text_row(label: str, lines: Sequence[str]) -> str:
    return "\n".join(f"  {label if number == 0 else '':<13} {line}" for number, line in enumerate(lines))
