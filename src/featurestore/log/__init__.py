"""The event log: rows that were pushed, as append-only Parquet files that the store owns."""
