"""From a function and the options of the decorator to a feature."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from types import CodeType
from typing import Any

from featurestore.declare.aggregates import Aggregate
from featurestore.declare.docstrings import parse, tags_of
from featurestore.declare.feature import Declaration, Feature, Metadata
from featurestore.declare.kinds import Kind, kind_of
from featurestore.declare.params import Param, params_of
from featurestore.declare.values import ValueType
from featurestore.declare.windowed import checked_aggregates
from featurestore.errors import RegistrationError, closest
from featurestore.instants import to_duration

__all__ = ["Options", "feature_of", "module_of"]

Names = str | Sequence[str]
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the decorator was given besides the function."""

    name: str | None = None
    entity: Names | None = None
    ttl: str | timedelta | None = None
    every: str | timedelta | None = None
    max_age: str | timedelta | None = None
    timestamp: str | None = None
    created: str | None = None
    available_at: str | None = None
    aggregates: Sequence[Aggregate] | None = None
    event_id: str | None = None
    timeless: bool = False
    inputs: Names | None = None
    owner: str | None = None
    status: str | None = None
    description: str | None = None
    tags: Sequence[str] | Mapping[str, str] | None = None
    schema: Mapping[str, Any] | None = None
    value_type: ValueType | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """Return the options ``given`` by name.

        Raises:
            RegistrationError: there is no such option; suggests the nearest.
        """
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                near = closest(name, known)
                raise RegistrationError(
                    f"register_feature has no option {name!r}",
                    found=name,
                    expected=f"one of: {', '.join(known)}",
                    fix=f"did you mean {near!r}?" if near else None,
                )
        return cls(**given)


def feature_of(function: Callable[..., Any], options: Options) -> Feature[..., Any]:
    """Return the feature that ``function`` is, with ``options``.

    Raises:
        RegistrationError: no plain function, or an option that cannot be.
    """
    _require_function(function)
    code, module, interactive = _origin(function)
    name, qualified_name = _names(function, options.name, module, interactive=interactive)
    params = params_of(inspect.signature(function), function)
    inputs = None if options.inputs is None else _words("inputs", options.inputs)
    ttl = _duration(options.ttl)
    aggregates = checked_aggregates(f"function {name!r}", options.aggregates, ttl=ttl, event_id=options.event_id)
    kind = kind_of(params, inputs=inputs, timestamp=options.timestamp, aggregates=aggregates)
    _require_times(kind, options, name)
    declaration = Declaration(
        name=name,
        qualified_name=qualified_name,
        kind=kind,
        params=params,
        metadata=_metadata(function, options),
        entity=() if options.entity is None else _words("entity", options.entity),
        inputs=_inputs(kind, inputs, params, name),
        ttl=ttl,
        every=_duration(options.every),
        max_age=_duration(options.max_age),
        timestamp=options.timestamp,
        created=options.created,
        available_at=options.available_at,
        aggregates=aggregates,
        event_id=options.event_id,
        timeless=options.timeless,
        schema=None if options.schema is None else dict(options.schema),
        value_type=options.value_type,
        file=code.co_filename,
        line=code.co_firstlineno,
        interactive=interactive,
    )
    return Feature(function, declaration)


def _require_function(function: object) -> None:
    if isinstance(function, Feature):
        raise RegistrationError(
            f"{function.qualified_name!r} is registered already",
            found="a registered feature",
            expected="a plain function",
            fix="apply @register_feature once",
        )
    plain = inspect.unwrap(function) if callable(function) else function
    if not inspect.isfunction(plain):
        raise RegistrationError(
            "only a function can be a feature",
            found=f"{function!r} of type {type(function).__name__}",
            expected="a function defined with def",
            fix="put @fs.register_feature directly above a def",
        )
    if inspect.iscoroutinefunction(plain) or inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        raise RegistrationError(
            f"{plain.__qualname__} does not return its result",
            found="a coroutine or generator function",
            expected="a function that returns a frame, a column or a mapping",
            fix="return the whole result from a plain function",
        )


def module_of(function: Callable[..., Any]) -> str:
    """Return the module that a function is named by: of one in a script that is run, the script's name.

    Example:
        >>> module_of(module_of)
        'featurestore.declare.registering'
    """
    return _origin(function)[1]


def _origin(function: Callable[..., Any]) -> tuple[CodeType, str, bool]:
    """Return the code, the name of the module that its identity uses, and whether it was typed at a prompt."""
    plain = inspect.unwrap(function)
    code: CodeType = plain.__code__
    if plain.__module__ != "__main__":
        return code, plain.__module__, False
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # python -m package.module
        return code, str(spec.name).removesuffix(".__main__"), False
    file = getattr(main, "__file__", None)
    if file is None or Path(code.co_filename) != Path(file):
        return code, "__main__", True
    return code, Path(file).stem, False


def _names(function: Callable[..., Any], given: str | None, module: str, *, interactive: bool) -> tuple[str, str]:
    own = inspect.unwrap(function).__qualname__.replace(".<locals>", "")
    name = own if given is None else given
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RegistrationError(
            "not a name for a feature",
            found=repr(name),
            expected="letters, digits and underscores, no digit first; dots between the parts of a full name",
            fix="pass name= with such a name" if given is None else None,
        )
    short = name.rpartition(".")[2]
    if given is not None and ("." in given or interactive):
        return short, name
    return short, f"{module}.{name}"


def _metadata(function: Callable[..., Any], options: Options) -> Metadata:
    documentation = parse(function.__doc__)
    return Metadata(
        summary=options.description or documentation.summary,
        description=documentation.description,
        params=documentation.params,
        owner=options.owner or documentation.section("owner") or documentation.section("maintainer") or "",
        status=options.status or documentation.section("status") or "",
        tags=_tags(options.tags, documentation.section("tags") or ""),
        sections=documentation.sections,
    )


def _tags(given: Sequence[str] | Mapping[str, str] | None, documented: str) -> Mapping[str, str]:
    if given is None:
        return dict.fromkeys(tags_of(documented), "")
    if isinstance(given, Mapping):
        return dict(given)
    return dict.fromkeys(_words("tags", given), "")


def _inputs(kind: Kind, given: tuple[str, ...] | None, params: tuple[Param, ...], name: str) -> dict[str, str]:
    if kind is not Kind.COLUMN:
        return {}
    names = [param.name for param in params if given is not None or param.required]
    columns = names if given is None else given
    if len(columns) > len(names):
        raise RegistrationError(
            f"{name} takes fewer parameters than it has inputs",
            found=f"inputs {', '.join(columns)}; parameters {', '.join(names) or 'none'}",
            expected="one parameter for each input, in the same order",
        )
    return dict(zip(names, columns, strict=False))


def _require_times(kind: Kind, options: Options, name: str) -> None:
    """Refuse options about time that the function's kind has no use for."""
    columns = {"timestamp": options.timestamp, "created": options.created, "available_at": options.available_at}
    given = {option: column for option, column in columns.items() if column is not None}
    given |= {"aggregates": "[...]"} if options.aggregates else {}
    if not kind.has_times and given:
        raise RegistrationError(
            f"{name} has no rows with times of their own",
            found=", ".join(f"{option}={column!r}" for option, column in given.items()),
            expected="a function that returns a table, with timestamp=",
            fix="name the column of the event timestamp: timestamp='event_timestamp'",
        )
    if options.timeless and kind is not Kind.TABLE:
        raise RegistrationError(
            f"{name} cannot be timeless",
            found=f"timeless=True on a function of kind {kind}",
            expected="a table that knows no time",
            fix="leave timeless out",
        )


def _duration(value: str | timedelta | None) -> timedelta | None:
    return None if value is None else to_duration(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _words(option: str, value: object) -> tuple[str, ...]:
    words: tuple[Any, ...] = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else ()
    if not words or not all(words) or not all(map(_is_text, words)):
        raise RegistrationError(f"{option}= cannot be used", found=repr(value), expected="a name, or several names")
    return words
