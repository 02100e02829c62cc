"""What a request for features refers to, among declared views: names, views, projections, services, functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from featurestore.declare.feature import Feature
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.declare.view import FeatureService, FeatureView, Projection
from featurestore.errors import ParameterError, UnknownNameError
from featurestore.repository.documents import ObjectKind
from featurestore.repository.repository import AnyView, Repository

__all__ = ["ViewReference", "parse_reference", "parse_references"]


@dataclass(frozen=True, slots=True)
class ViewReference:
    """A view, and how a request sees it."""

    view: AnyView
    features: tuple[str, ...] | None = None
    """The features that are asked for, in that order; ``None``: all of them."""
    alias: str | None = None
    join_key_map: tuple[tuple[str, str], ...] = ()
    """Pairs of a join key of the view and the label column that stands for it."""

    @property
    def name(self) -> str:
        """The alias where there is one, else the view's name."""
        return self.alias or self.view.name


def parse_reference(wanted: object, repository: Repository) -> tuple[ViewReference, ...]:
    """Return what ``wanted`` refers to; more than one view only for a service.

    Args:
        wanted: ``"view:feature"``, ``"view:*"``, ``"view"``, the name of a service, or an object: a view, projection,
            on-demand view, service or registered function. Objects need not be applied.
        repository: where names are looked up.

    Raises:
        UnknownNameError: nothing bears the name; suggests the nearest.
        ParameterError: neither a name nor a declaration.

    Example:
        >>> from featurestore import Field, FeatureView, FileSource, types
        >>> from featurestore.repository.collect import collect
        >>> source = FileSource("stats.parquet", timestamp_field="at")
        >>> repository = collect("taxi", [FeatureView("stats", source, [Field("trips", types.Int64)])])
        >>> parse_reference("stats:trips", repository)[0].features
        ('trips',)
        >>> parse_reference("stats:*", repository)[0].features is None
        True
    """
    match wanted:
        case str():
            return _by_name(wanted, repository)
        case Projection():
            return (ViewReference(wanted.view, wanted.features, wanted.alias, wanted.join_key_map),)
        case FeatureView() | OnDemandFeatureView() | Feature():
            return (ViewReference(wanted),)
        case FeatureService():
            return tuple(each for selected in wanted.features for each in parse_reference(selected, repository))
    raise ParameterError(
        "not a reference to features",
        found=f"{wanted!r} of type {type(wanted).__name__}",
        expected="'view:feature', 'view:*', a view, a projection, a feature service or a registered function",
    )


def parse_references(wanted: object, repository: Repository) -> tuple[ViewReference, ...]:
    """Return what a whole request refers to: features of one view that follow each other are asked for together.

    Args:
        wanted: one reference, or several.
        repository: where names are looked up.

    Raises:
        UnknownNameError: nothing bears a name; suggests the nearest.
        ParameterError: no references, or none at all.
    """
    given = list(wanted) if isinstance(wanted, Iterable) and not isinstance(wanted, str) else [wanted]
    if not given:
        raise ParameterError("no features are asked for", found="an empty list", expected="at least one reference")
    return tuple(_together(each for one in given for each in parse_reference(one, repository)))


def _by_name(text: str, repository: Repository) -> tuple[ViewReference, ...]:
    name, _, feature = text.partition(":")
    if not feature and name not in repository.view_names() and name in repository.documents[ObjectKind.SERVICE]:
        return parse_reference(repository.feature_service(name), repository)
    view = repository.view(name)
    if feature in ("", "*"):
        return (ViewReference(view),)
    known = [] if isinstance(view, Feature) else [field.name for field in view.schema]
    if known and feature not in known:
        raise UnknownNameError.among(f"feature of view {name!r} called", feature, known)
    return (ViewReference(view, (feature,)),)


def _together(references: Iterable[ViewReference]) -> Iterator[ViewReference]:
    last: ViewReference | None = None
    for each in references:
        if last is not None and _continues(last, each):
            last = ViewReference(last.view, (*(last.features or ()), *(each.features or ())), last.alias)
            continue
        if last is not None:
            yield last
        last = each
    if last is not None:
        yield last


def _continues(last: ViewReference, new: ViewReference) -> bool:
    if last.features is None or new.features is None or last.view is not new.view:
        return False
    return last.alias == new.alias is None and not last.join_key_map and not new.join_key_map
