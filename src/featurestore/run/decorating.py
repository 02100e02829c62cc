"""Decorators that were added to features from outside, and the functions that they make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import takewhile
from typing import Any

from featurestore.errors import FrameError, RegistrationError, UnknownNameError
from featurestore.frames import describe, kind_of
from featurestore.materializer.base import Materializer
from featurestore.repository.names import AnyFeature
from featurestore.run.running import running

__all__ = ["Decorators", "materializer_of"]

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]


@dataclass(frozen=True, slots=True)
class _Added:
    decorator: Decorator
    prefix: str

    def applies_to(self, feature: AnyFeature) -> bool:
        name = feature.qualified_name
        return not self.prefix or name == self.prefix or name.startswith(f"{self.prefix}.")


class Decorators:
    """The decorators of a store, in the order of adding: the last one added is the outermost.

    Of the materializers among them, the one with the most specific prefix serves a feature, the later one of equals.
    """

    def __init__(self) -> None:
        self._added: tuple[_Added, ...] = ()
        self._composed: dict[AnyFeature, Function] = {}

    def add(self, decorator: Decorator, prefix: str) -> None:
        """Put ``decorator`` around the features whose qualified name starts with ``prefix``."""
        if not callable(decorator):
            raise RegistrationError(
                "not a decorator",
                found=f"{decorator!r} of type {type(decorator).__name__}",
                expected="a function that takes a function and returns one",
                fix="pass materializer.decorator, not the materializer"
                if isinstance(decorator, Materializer)
                else None,
            )
        self._added = (*self._added, _Added(decorator, prefix))
        self._composed = {}

    def remove(self, decorator: Decorator, prefix: str | None) -> None:
        """Undo `add`: of ``decorator`` with this prefix, or with any where it is ``None``."""
        kept = tuple(
            each for each in self._added if not (each.decorator == decorator and prefix in (None, each.prefix))
        )
        if len(kept) == len(self._added):
            raise UnknownNameError(
                f"decorator {_name(decorator)} was not added",
                found=", ".join(f"{_name(each.decorator)} on {each.prefix or 'all'}" for each in self._added) or "none",
                expected="one that was added, with the same prefix",
            )
        self._added = kept
        self._composed = {}

    def materializer(self, feature: AnyFeature) -> Materializer | None:
        """Return the materializer that serves ``feature``."""
        chosen = self._serving(feature)
        return None if chosen is None else materializer_of(chosen.decorator)

    def composed(self, feature: AnyFeature) -> Function:
        """Return the feature's function within its decorators."""
        composed = self._composed  # kept at hand: a decorator added meanwhile begins a new one
        function = composed.get(feature)
        if function is None:
            serving = self._serving(feature)
            chosen = [each for each in self._ordinary_and(serving) if each.applies_to(feature)]
            function = composed[feature] = _compose(feature, chosen)
        return function

    def past_cache(self, feature: AnyFeature, materializer: Materializer | None = None) -> Function:
        """Return the function whose results ``materializer`` keeps: within the decorators that were added before it.

        Those added after it are around what it answers, so they must not be in what it stores as well. One that was
        not added is taken as added last.
        """
        serving = self._serving(feature)
        last = serving if serving is not None and materializer_of(serving.decorator) is materializer else None
        inside = takewhile(lambda each: each is not last, self._added)
        ordinary = [each for each in inside if materializer_of(each.decorator) is None and each.applies_to(feature)]
        return _compose(feature, ordinary)

    def _ordinary_and(self, serving: _Added | None) -> list[_Added]:
        return [each for each in self._added if materializer_of(each.decorator) is None or each is serving]

    def _serving(self, feature: AnyFeature) -> _Added | None:
        candidates = [
            each for each in self._added if materializer_of(each.decorator) is not None and each.applies_to(feature)
        ]
        return max(reversed(candidates), key=lambda each: len(each.prefix), default=None)


def materializer_of(decorator: Decorator) -> Materializer | None:
    """Return the materializer whose ``decorator`` method this is, if it is one."""
    owner = getattr(decorator, "__self__", None)
    return owner if isinstance(owner, Materializer) else None


def _compose(feature: AnyFeature, chosen: Sequence[_Added]) -> Function:
    function: Function = _noting_frames(feature) if chosen else feature.fn
    for each in chosen:
        function = _checked(each.decorator, function, feature)
    return function


def _noting_frames(feature: AnyFeature) -> Function:
    """Note when the function itself returns no frame, so that no decorator is blamed for it."""
    function = feature.fn

    @wraps(function)
    def noted(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        call = running()
        if call is not None and kind_of(value, sql=True) is None:
            call.frameless = True
        return value

    return noted


def _checked(decorator: Decorator, function: Function, feature: AnyFeature) -> Function:
    decorated = decorator(function)
    if not callable(decorated):
        raise RegistrationError(
            f"decorator {_name(decorator)} did not return a function",
            found=f"{decorated!r} of type {type(decorated).__name__}",
            expected=f"a function that stands for {feature.qualified_name}",
            fix=f"let {_name(decorator)} return its inner function",
        )

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        value = decorated(*args, **kwargs)
        call = running()
        if kind_of(value, sql=True) is None and not (call is not None and call.frameless):
            raise FrameError(
                f"decorator {_name(decorator)} returned no frame for {feature.qualified_name}",
                found=describe(value),
                expected="what the function inside it returned, or another frame",
                fix=f"let the inner function of {_name(decorator)} return the result of the call",
            )
        return value

    return checked


def _name(decorator: Decorator) -> str:
    return str(getattr(decorator, "__qualname__", None) or repr(decorator))
