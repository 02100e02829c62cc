"""Listing and describing what is in force, kind by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from featurestore.cli.output import json_option, plain, print_json, print_rows
from featurestore.errors import UnknownNameError

if TYPE_CHECKING:
    from featurestore import FeatureStore
    from featurestore.cli.app import Project

__all__ = ["COMMANDS"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What lists and descriptions of one kind of declaration show."""

    plural: str
    columns: tuple[str, ...]
    row: Callable[[Any], Sequence[object]]
    listed: Callable[[FeatureStore, dict[str, str]], Iterable[Any]]
    found: Callable[[FeatureStore, str], Any]
    state: Callable[[FeatureStore, Any], dict[str, Any]] = lambda store, declared: {}  # noqa: ARG005  No state.
    """Returns what is known of a declaration beside itself."""


def _group(kind: _Kind) -> click.Group:
    """Return the commands ``list`` and ``describe`` of a kind."""
    words = kind.plural.replace("-", " ")
    group = click.Group(
        kind.plural, help=f"List and describe {words}.", epilog=f"Example: featurestore {kind.plural} list"
    )

    @group.command("list", help=f"List the {words} in force, by name. In a pipe: tab-separated, without header.")
    @click.option("--tags", "tags", metavar="KEY:VALUE", multiple=True, help="Only those with this tag; repeatable.")
    @click.option("--header", is_flag=True, help="In a pipe too, begin with the names of the fields.")
    @json_option
    @click.pass_context
    def list_(ctx: click.Context, *, tags: tuple[str, ...], header: bool, as_json: bool) -> None:
        project: Project = ctx.obj
        wanted = {key: value for key, _, value in (tag.partition(":") for tag in tags)}
        listed = list(kind.listed(project.store(), wanted))
        if as_json:
            print_json([_described(each) for each in listed])
        else:
            print_rows(kind.columns, map(kind.row, listed), header=header)
        if not listed and (hint := project.hint()):
            click.echo(f"note: {hint}", err=True)

    @group.command("describe", help=f"Show everything that is known of one of the {words}.")
    @click.argument("name")
    @json_option
    @click.pass_obj
    def describe(project: Project, *, name: str, as_json: bool) -> None:
        store = project.store()
        found = kind.found(store, name)
        described = {**_described(found), **kind.state(store, found)}
        if as_json:
            print_json(described)
        else:
            _print_described(described)

    return group


def _described(declared: Any) -> Any:
    """Return a declaration as plain data; what it refers to by name."""
    if hasattr(declared, "qualified_name"):
        return _function(declared)
    said = plain(declared)
    whole = {name: value for name, value in said.items() if name not in {"source", "sources", "batch_source"}}
    for name in ("source", "batch_source"):
        if name in said:
            whole[name] = getattr(declared, name).name
    if hasattr(declared, "sources"):
        whole["sources"] = [each.name for each in declared.sources]
    if hasattr(declared, "entities"):
        whole["entities"] = [_name(each) for each in declared.entities]
    if "features" in whole:
        whole["features"] = _references(declared)
    return whole


def _function(feature: Any) -> dict[str, Any]:
    said = feature.declaration
    whole = {
        "name": feature.name,
        "qualified_name": feature.qualified_name,
        "kind": str(feature.kind),
        "entities": list(feature.entity),
        "parameters": [str(each) for each in feature.params],
        "schema": {name: plain(dtype) for name, dtype in (said.schema or {}).items()},
        "timestamp": said.timestamp,
        "ttl": plain(said.ttl),
        "every": plain(said.every),
        "description": feature.metadata.summary,
        "owner": feature.metadata.owner,
        "tags": dict(feature.metadata.tags),
        "defined_at": f"{said.file}:{said.line}",
    }
    return {name: value for name, value in whole.items() if value not in (None, "", [], {})}


def _print_described(described: dict[str, Any]) -> None:
    width = max(map(len, described)) + 2
    for name, value in described.items():
        lines = list(_lines(value)) or [""]
        click.echo(f"{click.style(f'{name}:'.ljust(width), bold=True)} {lines[0]}")
        for line in lines[1:]:
            click.echo(f"{'':<{width}} {line}")


def _lines(value: Any) -> Iterable[str]:
    match value:
        case dict():
            return (f"{name}: {each}" if each else str(name) for name, each in value.items())
        case list():
            return (_line(each) for each in value)
    return str(value).splitlines()


def _line(value: Any) -> str:
    if isinstance(value, dict) and "name" in value:
        described = f" - {value['description']}" if value.get("description") else ""
        return f"{value['name']}: {value.get('dtype', '')}{described}"
    return str(value)


def _name(declared: Any) -> str:
    return declared if isinstance(declared, str) else str(declared.name)


def _references(service: Any) -> list[str]:
    """Return what a service asks for, as references."""
    found = []
    for each in service.features:
        chosen = each.features if hasattr(each, "join_key_map") else None
        found += [f"{each.name}:{name}" for name in chosen] if chosen else [f"{each.name}:*"]
    return found


def _view_row(view: Any) -> Sequence[object]:
    if hasattr(view, "qualified_name"):
        said = view.declaration
        return view.name, view.entity, tuple(said.schema or ()), said.ttl, f"function {view.qualified_name}"
    return view.name, tuple(map(_name, view.entities)), view.feature_names, view.ttl, view.source.name


def _materialized(store: FeatureStore, view: Any) -> dict[str, Any]:
    """Return what part of a view's time is in the online store."""
    intervals = store.materialized_intervals(view)
    return (
        {"materialized": [f"{start.isoformat()} to {end.isoformat()}" for start, end in intervals]} if intervals else {}
    )


def _on_demand_row(view: Any) -> Sequence[object]:
    features = tuple(field.name for field in view.schema)
    return view.name, tuple(each.name for each in view.sources), features, view.mode


def _source_row(source: Any) -> Sequence[object]:
    place = getattr(source, "path", None) or getattr(source, "topic", None)
    batch = getattr(source, "batch_source", None)
    return source.name, type(source).__name__, place or (f"history: {batch.name}" if batch else "")


def _feature(store: FeatureStore, name: str) -> Any:
    """Return a feature by its reference, or by its name where only one view has it."""
    listed = store.list_features()
    found = [each for each in listed if name in {each.reference, each.name}]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownNameError(
            f"{len(found)} features are called {name!r}",
            found=", ".join(each.reference for each in found),
            expected="one of them",
            fix="use the reference, with the view's name",
        )
    raise UnknownNameError.among("feature", name, [each.reference for each in listed])


_KINDS = (
    _Kind(
        "entities",
        ("NAME", "JOIN KEYS", "TYPE", "DESCRIPTION"),
        lambda each: (each.name, each.join_keys, each.value_type, each.description),
        lambda store, tags: store.list_entities(tags),
        lambda store, name: store.get_entity(name),
    ),
    _Kind(
        "feature-views",
        ("NAME", "ENTITIES", "FEATURES", "TTL", "SOURCE"),
        _view_row,
        lambda store, tags: store.list_feature_views(tags),
        lambda store, name: store.get_feature_view(name),
        _materialized,
    ),
    _Kind(
        "on-demand-feature-views",
        ("NAME", "SOURCES", "FEATURES", "MODE"),
        _on_demand_row,
        lambda store, tags: store.list_on_demand_feature_views(tags),
        lambda store, name: store.get_on_demand_feature_view(name),
    ),
    _Kind(
        "feature-services",
        ("NAME", "FEATURES", "DESCRIPTION"),
        lambda each: (each.name, _references(each), each.description),
        lambda store, tags: store.list_feature_services(tags),
        lambda store, name: store.get_feature_service(name),
    ),
    _Kind(
        "data-sources",
        ("NAME", "TYPE", "PLACE"),
        _source_row,
        lambda store, tags: store.list_data_sources(tags),
        lambda store, name: store.get_data_source(name),
    ),
    _Kind(
        "features",
        ("FEATURE", "TYPE", "ENTITIES", "DESCRIPTION"),
        lambda each: (each.reference, each.dtype, each.entities, each.description),
        lambda store, tags: store.list_features(tags),
        _feature,
    ),
)

COMMANDS: dict[str, click.Command] = {kind.plural: _group(kind) for kind in _KINDS}
