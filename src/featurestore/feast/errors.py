"""Feast's error names, each the error that this package raises in that case, so that ``except`` clauses go on working.

NotSupportedError (NotImplementedError)   something of Feast's that the door does not open to; says what to do
"""

from __future__ import annotations

from featurestore.errors import (
    ColumnClashError,
    ConfigurationError,
    FeatureStoreError,
    MissingColumnError,
    RegistrationError,
    Terminal,
    UnknownNameError,
)

__all__ = [
    "ConflictingFeatureViewNames",
    "DataSourceNotFoundException",
    "DataSourceObjectNotFoundException",
    "EntityNotFoundException",
    "FeastEntityDFMissingColumnsError",
    "FeastError",
    "FeastObjectNotFoundException",
    "FeatureNameCollisionError",
    "FeatureServiceNotFoundException",
    "FeatureViewNotFoundException",
    "NotSupportedError",
    "OnDemandFeatureViewNotFoundException",
    "RegistryInferenceFailure",
    "RequestDataNotFoundInEntityDfException",
    "RequestDataNotFoundInEntityRowsException",
    "SavedDatasetLocationAlreadyExists",
    "SavedDatasetNotFound",
]


class NotSupportedError(FeatureStoreError, Terminal, NotImplementedError):
    """Something of Feast's that has no counterpart here, or none yet."""


class SavedDatasetLocationAlreadyExists(ConfigurationError):  # noqa: N818  # Feast's name.
    """There is a file already where a dataset is to be saved."""


FeastError = FeatureStoreError
FeastObjectNotFoundException = UnknownNameError
EntityNotFoundException = UnknownNameError
FeatureViewNotFoundException = UnknownNameError
OnDemandFeatureViewNotFoundException = UnknownNameError
FeatureServiceNotFoundException = UnknownNameError
DataSourceNotFoundException = UnknownNameError
DataSourceObjectNotFoundException = UnknownNameError
SavedDatasetNotFound = UnknownNameError
FeatureNameCollisionError = ColumnClashError
FeastEntityDFMissingColumnsError = MissingColumnError
ConflictingFeatureViewNames = RegistrationError
RegistryInferenceFailure = RegistrationError
RequestDataNotFoundInEntityDfException = MissingColumnError
RequestDataNotFoundInEntityRowsException = MissingColumnError
