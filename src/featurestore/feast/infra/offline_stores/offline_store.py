"""Feast's ``RetrievalJob``: a training dataset that is planned and not yet made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurestore.feast._refusal import not_supported, require_unset
from featurestore.feast.errors import SavedDatasetLocationAlreadyExists
from featurestore.feast.infra.offline_stores.file_source import SavedDatasetFileStorage

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = ["RetrievalJob"]

_VALIDATION = "check the frame yourself: job.to_df().describe()"


@dataclass(frozen=True, slots=True)
class RetrievalJob:
    """Labels and their features: one row out for every row in, in their order, whatever Feast does to them."""

    job: Any
    """Ours, which has more: ``.explain()``, ``.to_lazy()``, ``.to_duckdb()``, ``.to_numpy()``."""
    base: Path
    """The folder from which relative paths are looked up."""
    full_feature_names: bool = False

    def __repr__(self) -> str:
        return repr(self.job)

    @property
    def metadata(self) -> Any:
        """Features, keys and the range of the labels' times."""
        return self.job.metadata

    def to_df(self, validation_reference: Any = None, timeout: int | None = None) -> pd.DataFrame:
        """Return the rows as a pandas frame.

        Args:
            validation_reference: not supported.
            timeout: decides nothing: there is no server that could fail to answer.
        """
        del timeout
        require_unset("to_df()", instead=_VALIDATION, validation_reference=validation_reference)
        return self.job.to_df()  # type: ignore[no-any-return]  # Ours is handed in untyped.

    def to_arrow(self, validation_reference: Any = None, timeout: int | None = None) -> pa.Table:
        """Return the rows as a PyArrow table; the arguments are those of `to_df`."""
        del timeout
        require_unset("to_arrow()", instead=_VALIDATION, validation_reference=validation_reference)
        return self.job.to_arrow()

    def to_polars(self) -> pl.DataFrame:
        """Return the rows as a Polars frame."""
        return self.job.to_polars()  # type: ignore[no-any-return]  # As above.

    def to_tensor(self, kind: str = "torch", default_value: float = float("nan")) -> dict[str, Any]:
        """Return the features as one tensor of 64-bit floats each, by name.

        Args:
            kind: ``"torch"``.
            default_value: what stands where there is no value.

        Raises:
            FrameError: a feature that is neither a number nor a boolean.
            MissingDependencyError: PyTorch is not installed.
        """
        if kind != "torch":
            raise not_supported(f"kind={kind!r} of to_tensor()", instead="make it of job.to_df()")
        made = {name: self.job.to_torch([name])[:, 0] for name in self.metadata.features}
        return {name: tensor.nan_to_num(nan=default_value) for name, tensor in made.items()}

    def to_sql(self) -> str:
        """Refuse: local files are joined without SQL."""
        raise not_supported("to_sql()", instead="see the plan with job.job.explain()")

    def to_ray_dataset(self) -> Any:
        """Refuse: there is no Ray here."""
        raise not_supported("to_ray_dataset()", instead="ray.data.from_arrow(job.to_arrow())")

    def persist(
        self, storage: SavedDatasetFileStorage, allow_overwrite: bool = False, timeout: int | None = None
    ) -> None:
        """Write the rows to a Parquet file.

        Args:
            storage: where; a relative path is looked up from the repository's folder.
            allow_overwrite: whether a file that is there may be replaced.
            timeout: decides nothing.

        Raises:
            SavedDatasetLocationAlreadyExists: a file is there.
        """
        del timeout
        target = self.base / storage.path
        if target.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(
                f"there is something at {target} already",
                found=str(target),
                expected="a path where nothing is",
                fix="choose another path, or allow_overwrite=True",
            )
        self.job.write_parquet(target)
