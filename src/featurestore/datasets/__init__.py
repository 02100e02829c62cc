"""Saved training datasets: append-only Parquet files that the store owns."""
