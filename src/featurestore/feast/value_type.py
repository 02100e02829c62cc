"""Feast's old names of types."""

from __future__ import annotations

from enum import Enum

from featurestore import types

__all__ = ["ValueType"]


class ValueType(Enum):
    """The old way to name a type; ``featurestore.feast.types`` has the new one."""

    UNKNOWN = 0
    BYTES = 1
    STRING = 2
    INT32 = 3
    INT64 = 4
    DOUBLE = 5
    FLOAT = 6
    BOOL = 7
    UNIX_TIMESTAMP = 8
    BYTES_LIST = 11
    STRING_LIST = 12
    INT32_LIST = 13
    INT64_LIST = 14
    DOUBLE_LIST = 15
    FLOAT_LIST = 16
    BOOL_LIST = 17
    UNIX_TIMESTAMP_LIST = 18
    NULL = 19

    @property
    def dtype(self) -> types.AnyType | None:
        """The type that is meant; ``None`` where none is.

        Example:
            >>> str(ValueType.INT64_LIST.dtype)
            'Array(Int64)'
        """
        name, is_list = self.name.removesuffix("_LIST"), self.name.endswith("_LIST")
        item = _PLAIN.get(name)
        return types.Array(item) if item is not None and is_list else item


_PLAIN: dict[str, types.AnyType] = {
    "BYTES": types.Bytes,
    "STRING": types.String,
    "INT32": types.Int32,
    "INT64": types.Int64,
    "DOUBLE": types.Float64,
    "FLOAT": types.Float32,
    "BOOL": types.Bool,
    "UNIX_TIMESTAMP": types.UnixTimestamp,
}
