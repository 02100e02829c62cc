"""A registered function: still the function that it was, and a declaration besides."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import update_wrapper
from html import escape
from typing import Any, Generic, ParamSpec, TypeVar

from featurestore.declare import dispatch
from featurestore.declare.aggregates import Aggregate
from featurestore.declare.kinds import Kind
from featurestore.declare.params import Param
from featurestore.declare.values import ValueType

__all__ = ["Declaration", "Feature", "Metadata"]

P = ParamSpec("P")
R = TypeVar("R")


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What people should know of a feature: from its docstring, options of the decorator winning."""

    summary: str = ""
    description: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    status: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags; those that were given as bare words have an empty value."""
    sections: Mapping[str, str] = field(default_factory=dict)
    """Free sections of the docstring, such as ``Maintainer``, by their title."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """Everything that was said when a function was registered."""

    name: str
    qualified_name: str
    kind: Kind
    params: tuple[Param, ...]
    metadata: Metadata
    entity: tuple[str, ...] = ()
    """Join key columns; empty where none was declared."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Parameters of a column function that are columns, with the names of these columns."""
    ttl: timedelta | None = None
    every: timedelta | None = None
    """Grid of an as-of feature for training and serving."""
    max_age: timedelta | None = None
    """How old a stored result may get before it counts as missing."""
    timestamp: str | None = None
    """Column of a timeline's event timestamp."""
    created: str | None = None
    """Column that decides between rows of a timeline of equal key and event timestamp."""
    available_at: str | None = None
    """Column that says when a row of a timeline became known."""
    aggregates: tuple[Aggregate, ...] = ()
    """The features of a window, which its rows are the events of."""
    event_id: str | None = None
    """Column that says which of these rows are one event."""
    timeless: bool = False
    """Whether a table may be joined to labels of any time."""
    schema: Mapping[str, Any] | None = None
    value_type: ValueType | None = None
    file: str = ""
    line: int = 0
    interactive: bool = False
    """Whether it was declared at a prompt or in a notebook, where the module has no name of its own."""


class Feature(Generic[P, R]):
    """A registered function. Calling it returns exactly what the function returns, or a store's copy of that.

    Attributes:
        fn: the function as it was written.
        declaration: everything that was said when it was registered.
    """

    __name__: str
    __qualname__: str

    def __init__(self, fn: Callable[P, R], declaration: Declaration) -> None:
        update_wrapper(self, fn)
        self.fn = fn
        self.declaration = declaration
        self.signature = inspect.signature(fn)
        kinds = {name: param.kind for name, param in self.signature.parameters.items()}
        self.positional = tuple(name for name, kind in kinds.items() if kind in _POSITIONAL)
        """Names of the parameters that can be given by position."""
        self.keyword_only = tuple(name for name, kind in kinds.items() if kind is inspect.Parameter.KEYWORD_ONLY)
        """Names of those that cannot."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return dispatch.current().call(self, args, kwargs)  # type: ignore[no-any-return]  # Untyped beyond here.

    @property
    def name(self) -> str:
        """Short name."""
        return self.declaration.name

    @property
    def qualified_name(self) -> str:
        """Module and name, such as ``features.events.n_favorites``: the identity of its results."""
        return self.declaration.qualified_name

    @property
    def params(self) -> tuple[Param, ...]:
        """Parameters that it takes, in order."""
        return self.declaration.params

    @property
    def metadata(self) -> Metadata:
        """Summary, description, owner, tags and further sections of its documentation."""
        return self.declaration.metadata

    @property
    def kind(self) -> Kind:
        """Table, as-of, timeline, window or column."""
        return self.declaration.kind

    @property
    def entity(self) -> tuple[str, ...]:
        """Join key columns; empty where none was declared."""
        return self.declaration.entity

    @property
    def dependencies(self) -> tuple[str, ...]:
        """Qualified names of the features that it calls, directly."""
        return dispatch.current().dependencies(self)

    def __repr__(self) -> str:
        summary = f": {self.metadata.summary}" if self.metadata.summary else ""
        return f"<feature {self.qualified_name}{self.signature}{summary}>"

    def _repr_html_(self) -> str:
        return (
            f"<b>{escape(self.qualified_name)}</b><code>{escape(str(self.signature))}</code> "
            f"<i>{self.kind}</i><br>{escape(self.metadata.summary)}"
        )

    def __reduce__(self) -> str:
        # Pickled as the global that it is: by name, never by content, so that no code travels.
        return self.fn.__qualname__
