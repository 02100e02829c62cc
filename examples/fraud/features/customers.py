"""What is known of a customer."""

from featurestore import FeatureView, Field, FileSource, types

customer_stats = FeatureView(
    "customer_stats",
    source=FileSource("data/customer_stats.parquet", timestamp_field="event_timestamp"),
    entities=["customer_id"],
    schema=[
        Field("avg_purchase", types.Float64, description="Average payment, over all days before this one"),
        Field("n_purchases_7d", types.Int64, description="Payments in the seven days before this one"),
    ],
    # A row a day: if one fails to come, yesterday's serves for a day more.
    ttl="2d",
)
