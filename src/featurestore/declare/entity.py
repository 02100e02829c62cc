"""Entities and fields: what features are about, and what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from featurestore import dtypes
from featurestore.declare.brief import brief
from featurestore.declare.naming import require_name
from featurestore.dtypes import AnyType
from featurestore.errors import RegistrationError, closest

__all__ = ["Entity", "Field", "fields_of", "require_type"]

_PYTHON = {"float": "Float64", "int": "Int64", "str": "String", "bool": "Bool", "datetime": "UnixTimestamp"}
"""What Python calls them."""


@dataclass(frozen=True, slots=True, init=False)
class Entity:
    """What features are about, such as a customer, and the column that identifies one.

    Args:
        name: such as ``"driver"``.
        join_keys: the columns that identify one; the name by default.
        value_type: type of the key; taken from the sources where it is not given.

    Example:
        >>> Entity("driver", join_keys=["driver_id"]).join_keys
        ('driver_id',)
    """

    name: str
    join_keys: tuple[str, ...]
    value_type: AnyType | None
    description: str
    tags: Mapping[str, str]
    owner: str

    __repr__ = brief

    def __init__(
        self,
        name: str,
        join_keys: Sequence[str] | str | None = None,
        value_type: AnyType | None = None,
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str = "",
    ) -> None:
        require_name("entity", name)
        keys = (join_keys,) if isinstance(join_keys, str) else tuple(join_keys or (name,))
        if len(set(keys)) != len(keys):
            raise RegistrationError(
                f"entity {name!r} names a join key twice", found=", ".join(keys), expected="each column once"
            )
        if value_type is not None:
            require_type(f"entity {name!r}", value_type)
        for attribute, value in (
            ("name", name),
            ("join_keys", keys),
            ("value_type", value_type),
            ("description", description),
            ("tags", dict(tags or {})),
            ("owner", owner),
        ):
            object.__setattr__(self, attribute, value)

    @property
    def join_key(self) -> str:
        """The only join key, for entities that have one."""
        return self.join_keys[0]


@dataclass(frozen=True, slots=True)
class Field:
    """A feature of a view: the name of a column and its type.

    Example:
        >>> from featurestore import types
        >>> str(Field("conv_rate", types.Float32))
        'conv_rate: Float32'
    """

    name: str
    dtype: AnyType
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    __repr__ = brief

    def __post_init__(self) -> None:
        require_name("feature", self.name)
        require_type(f"field {self.name!r}", self.dtype)

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}"


def fields_of(schema: Sequence[Field] | Mapping[str, AnyType] | None) -> Sequence[Field]:
    """Return the fields of a schema, which may be written as a mapping of names to types.

    Example:
        >>> from featurestore import types
        >>> fields_of({"rate": types.Float64})
        [Field(name='rate', dtype=Float64)]
    """
    return [Field(name, dtype) for name, dtype in schema.items()] if isinstance(schema, Mapping) else schema or ()


def require_type(what: str, dtype: object) -> None:
    """Raise `RegistrationError`, which says the type that is meant, where ``dtype`` is such as ``float`` or text."""
    if isinstance(dtype, AnyType):
        return
    name = str(getattr(dtype, "__name__", dtype))
    near = _PYTHON.get(name) or closest(name, dtypes.__all__)
    raise RegistrationError(
        f"the type of {what} is none of featurestore",
        found=repr(dtype),
        expected="such as types.Float64",
        fix=f"from featurestore import types, and {'one of its names' if near is None else f'types.{near}'}",
    )
