"""What is known of the payment itself, and what the model needs."""

from features.customers import customer_stats
from features.merchants import merchant_stats
from featurestore import FeatureService, FeatureView, Field, FileSource, PushSource, types

transaction_features = FeatureView(
    "transaction_features",
    # A payment is pushed when it is made, and in the file the next morning.
    source=PushSource("payments", FileSource("data/transactions.parquet", timestamp_field="event_timestamp")),
    entities=["customer_id", "merchant_id"],
    schema=[
        Field("amount", types.Float64, description="What is paid"),
        Field("hour_of_day", types.Int64, description="Hour at which it is paid, 0 to 23, UTC"),
    ],
    # The payment that is scored, never one before it.
    ttl="1m",
)

fraud_detection_v1 = FeatureService(
    "fraud_detection_v1",
    features=[customer_stats, merchant_stats, transaction_features],
    description="Whether a payment is fraud",
)
