"""What is known of a merchant."""

from featurestore import FeatureView, Field, FileSource, types

merchant_stats = FeatureView(
    "merchant_stats",
    source=FileSource(
        "data/merchant_stats.parquet",
        timestamp_field="event_timestamp",
        # A payment is disputed up to seven days after it was made, so the count of a day is known seven days later.
        # No label sees the row before that, although its event timestamp is earlier.
        available_at="available_at",
    ),
    entities=["merchant_id"],
    schema=[
        Field("avg_rating", types.Float64, description="Average rating from 1 to 5, over all days before this one"),
        Field("n_disputes_30d", types.Int64, description="Payments of the 30 days before this one that were disputed"),
    ],
    # Counted from the event timestamp: seven days until a row is known, one until the next is, two to spare.
    ttl="10d",
)
