"""Feast's conversions between types of Python, pandas, Arrow and its protocol buffers, which nothing needs here."""

from __future__ import annotations

from featurestore.feast._refusal import refused

__all__ = [
    "feast_value_type_to_pa",
    "feast_value_type_to_pandas_type",
    "feast_value_type_to_python_type",
    "pa_to_feast_value_type",
    "python_type_to_feast_value_type",
    "python_values_to_proto_values",
]

_TYPES = "name types with featurestore.feast.types; a view without schema= finds those of its source"
_VALUES = "hand values over as they are: no protocol buffers stand between"

feast_value_type_to_pa = refused("feast_value_type_to_pa", module=__name__, instead=_TYPES)
feast_value_type_to_pandas_type = refused("feast_value_type_to_pandas_type", module=__name__, instead=_TYPES)
feast_value_type_to_python_type = refused("feast_value_type_to_python_type", module=__name__, instead=_VALUES)
pa_to_feast_value_type = refused("pa_to_feast_value_type", module=__name__, instead=_TYPES)
python_type_to_feast_value_type = refused("python_type_to_feast_value_type", module=__name__, instead=_TYPES)
python_values_to_proto_values = refused("python_values_to_proto_values", module=__name__, instead=_VALUES)
