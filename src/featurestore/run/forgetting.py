"""Views that are gone, forgotten: rows, layouts, intervals and what was pushed.

That is done right after the apply that removes them. Where the process dies in between, the history of the project
tells: what was in force once, is not any more, and still has rows, documents or pushes, is left over.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from featurestore.repository.documents import ObjectKind
from featurestore.repository.repository import Repository
from featurestore.run.applying import in_force
from featurestore.run.covering import covered, remove_coverage
from featurestore.run.online import Online, change_views, drop_retired, online_views

__all__ = ["forget", "forget_orphans", "orphans"]

_STORED = (ObjectKind.VIEW, ObjectKind.FUNCTION)


def forget(online: Online, names: Sequence[str]) -> None:
    """Remove everything that views have left: rows, layouts, intervals and what was pushed.

    Harmless to repeat, and complete when repeated after a crash. Unknown names are no error.

    Args:
        online: the store's parts.
        names: identities of views that are no longer in force.
    """
    change_views(online.registry, lambda views: views.without(names))
    for name in names:
        online.log.drop(name)
        remove_coverage(online.registry, name)
    drop_retired(online.registry, online.store)


def forget_orphans(online: Online) -> tuple[str, ...]:
    """Forget views that are gone, where whoever removed them died before; return their names."""
    gone = orphans(online)
    if gone:
        forget(online, gone)
    return gone


def orphans(online: Online) -> tuple[str, ...]:
    """Return the views that have left something online, or in the event log, and were taken out of force."""
    found = {*online_views(online.registry).views, *covered(online.registry), *online.log.views()}
    repository, _ = in_force(online.registry)
    known = {function.qualified_name for function in online.context.known.functions}
    known |= {name for kind in _STORED for name in repository.names(kind)} | _written(repository)
    unknown = found - known
    return tuple(sorted(_once_in_force(online, unknown))) if unknown else ()


def _written(repository: Repository) -> set[str]:
    """Return the on-demand views of which features are kept."""
    documents = repository.documents[ObjectKind.ON_DEMAND]
    return {name for name, document in documents.items() if document.get("write_to_online_store")}


def _once_in_force(online: Online, names: Collection[str]) -> set[str]:
    """Return which of ``names`` an apply has removed. Functions that were never applied belong to whoever has them."""
    left, found = set(names), set[str]()
    for commit in online.registry.log():
        document = Repository.from_json(online.registry.at(commit.version).document)
        found |= left & ({name for kind in _STORED for name in document.names(kind)} | _written(document))
        left -= found
        if not left:
            break
    return found
