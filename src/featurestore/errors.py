"""Every error of the package, as one tree.

Each message answers three questions: what happened, what was found against what was expected, and what to do.
Classes also inherit the builtin that a caller would expect to catch. ``Terminal`` and ``Transient`` tell a runner
whether trying again can help.

    FeatureStoreError
    ├── RegistrationError (ValueError)            a declaration that cannot stand
    │   └── DuplicateNameError                    one name, two features
    ├── UnknownNameError (LookupError)            a name that nothing bears
    │   └── AmbiguousNameError                    a short name that several features bear
    ├── ParameterError (TypeError)                parameters that do not fit the features asked for
    ├── FrameError (TypeError)                    a value that is no frame, or a frame of the wrong shape
    │   └── MissingColumnError                    a column that should be there
    ├── JoinError (ValueError)                    tables that cannot be put side by side
    │   ├── ColumnClashError                      one column name, two features
    │   └── DuplicateKeyError                     two rows where a key must have one
    ├── MaterializationError                      a stored result that cannot be made, read or removed
    │   ├── NotMaterializedError (LookupError)    nothing stored answers the request
    │   ├── StaleMaterializationError             what is stored was made by other code
    │   └── UnsupportedValueError (ValueError)    a value or type that the back end cannot hold
    ├── ComputationError (RuntimeError)           a feature's function that failed
    ├── VerificationError (ValueError)            values that depend on who computes them
    ├── FingerprintError                          code whose identity cannot be established
    ├── ConfigurationError (ValueError)           a setting that cannot be used
    ├── StoreUnavailableError (ConnectionError)   a back end that does not answer; Transient
    ├── ConflictError                             somebody else changed it meanwhile; Transient
    └── MissingDependencyError (ImportError)      an extra that is not installed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AmbiguousNameError",
    "ColumnClashError",
    "ComputationError",
    "ConfigurationError",
    "ConflictError",
    "DuplicateKeyError",
    "DuplicateNameError",
    "FeatureStoreError",
    "FeatureStoreWarning",
    "FingerprintError",
    "FrameError",
    "JoinError",
    "MaterializationError",
    "MissingColumnError",
    "MissingDependencyError",
    "NotMaterializedError",
    "ParameterError",
    "RegistrationError",
    "StaleMaterializationError",
    "StoreUnavailableError",
    "Terminal",
    "Transient",
    "UnknownNameError",
    "UnsupportedValueError",
    "VerificationError",
    "closest",
]


class Terminal:
    """Marks errors that the same call will meet again."""


class Transient:
    """Marks errors that may pass: the same call can succeed later."""


class FeatureStoreWarning(UserWarning):
    """Something that works and is probably not what you want."""


class FeatureStoreError(Exception):
    """Base of every error that the package raises on purpose.

    Args:
        what: what happened, in one line.
        found: what was met.
        expected: what would have been right.
        fix: what to do about it.

    Example:
        >>> print(FeatureStoreError("no table", found="'a'", expected="'b'", fix="create it"))
        no table
          found:    'a'
          expected: 'b'
          fix:      create it
    """

    def __init__(self, what: str, *, found: object = None, expected: object = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.found = found
        self.expected = expected
        self.fix = fix

    def __str__(self) -> str:
        parts = (("found:", self.found), ("expected:", self.expected), ("fix:", self.fix))
        lines = [f"  {label:<9} {_indent(value)}" for label, value in parts if value is not None]
        return "\n".join([self.what, *lines])

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries (workers, pools); keyword-only arguments need help to be pickled.
        return (_rebuild, (type(self), self.what, self.found, self.expected, self.fix))


def _rebuild(
    cls: type[FeatureStoreError], what: str, found: object, expected: object, fix: str | None
) -> FeatureStoreError:
    return cls(what, found=found, expected=expected, fix=fix)


def _indent(value: object) -> str:
    return str(value).replace("\n", "\n" + " " * 12)


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like ``name``, or ``None`` when none is alike.

    Example:
        >>> closest("drvier_stats", ["driver_stats", "rider"])
        'driver_stats'
    """
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


class RegistrationError(FeatureStoreError, Terminal, ValueError):
    """A declaration that cannot stand."""


class DuplicateNameError(RegistrationError):
    """One name was registered for two features."""


class UnknownNameError(FeatureStoreError, Terminal, LookupError):
    """Nothing bears the name that was asked for."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], *, fix: str | None = None) -> UnknownNameError:
        """Build the error for an unknown ``name`` of a ``kind`` from the names that exist.

        Example:
            >>> print(UnknownNameError.among("feature", "n_favourites", ["n_favorites"]))
            no feature 'n_favourites'
              found:    'n_favourites'
              expected: one of: n_favorites
              fix:      did you mean 'n_favorites'?
        """
        names = sorted(known)
        near = closest(name, names)
        hint = f"did you mean {near!r}?" if near else fix
        expected = f"one of: {', '.join(names)}" if names else f"there is no {kind.removesuffix(' called')} yet"
        return cls(f"no {kind} {name!r}", found=repr(name), expected=expected, fix=hint)


class AmbiguousNameError(UnknownNameError):
    """A short name that several features bear."""


class ParameterError(FeatureStoreError, Terminal, TypeError):
    """Parameters that do not fit the features they were given for."""


class FrameError(FeatureStoreError, Terminal, TypeError):
    """A value that is no frame, or a frame of the wrong shape."""


class MissingColumnError(FrameError):
    """A frame lacks a column that it must have."""

    @classmethod
    def among(cls, column: str, columns: Iterable[str], *, where: str) -> MissingColumnError:
        """Build the error for a ``column`` missing ``where``, from the columns that are there."""
        names = list(columns)
        near = closest(column, names)
        hint = f"did you mean {near!r}? Then give both one name" if near else f"add a column {column!r}"
        found = ", ".join(names) or "no columns"
        return cls(f"no column {column!r} in {where}", found=found, expected=column, fix=hint)


class JoinError(FeatureStoreError, Terminal, ValueError):
    """Tables that cannot be put side by side."""


class ColumnClashError(JoinError):
    """Two features bring a column of the same name."""


class DuplicateKeyError(JoinError):
    """A table has several rows for a key where a feature has one value."""


class MaterializationError(FeatureStoreError):
    """A stored result that cannot be made, read or removed."""


class NotMaterializedError(MaterializationError, Terminal, LookupError):
    """Nothing that is stored answers the request."""


class StaleMaterializationError(MaterializationError, Terminal):
    """What is stored was made by other code than the feature has now."""


class UnsupportedValueError(MaterializationError, Terminal, ValueError):
    """A value or a type that the back end cannot hold."""


class ComputationError(FeatureStoreError, RuntimeError):
    """A feature's function failed. Names the feature, the row and what the function was handed."""


class VerificationError(FeatureStoreError, Terminal, ValueError):
    """Values that depend on who computes them: reference, engines, or the online path. Shows the smallest case."""


class FingerprintError(FeatureStoreError, Terminal):
    """Code whose identity cannot be established."""


class ConfigurationError(FeatureStoreError, Terminal, ValueError):
    """A setting that cannot be used."""


class StoreUnavailableError(FeatureStoreError, Transient, ConnectionError):
    """A back end does not answer."""


class ConflictError(FeatureStoreError, Transient):
    """Somebody else changed what this was to change. Nothing was written; look at theirs, and try again."""


class MissingDependencyError(FeatureStoreError, Terminal, ImportError):
    """A library that this needs is not installed."""

    @classmethod
    def for_extra(cls, library: str, extra: str, *, purpose: str) -> MissingDependencyError:
        """Build the error for a ``library`` that the ``extra`` installs and ``purpose`` needs.

        Example:
            >>> print(MissingDependencyError.for_extra("psycopg", "postgres", purpose="PostgresMaterializer"))
            PostgresMaterializer needs psycopg, which is not installed
              expected: the extra 'postgres'
              fix:      pip install 'featurestore[postgres]'
        """
        return cls(
            f"{purpose} needs {library}, which is not installed",
            expected=f"the extra {extra!r}",
            fix=f"pip install 'featurestore[{extra}]'",
        )
