"""What `featurestore apply` reads: what is known of a customer, of a merchant and of the payment itself."""

from typing import Any

import featurestore as fs
from featurestore import types

MIDNIGHTS = {"every": "1d"}  # Whole days, UTC: the value of a day is that of its midnight.

# A payment is pushed when it is made, and in the file the next morning: the same event, which counts once.
customer_stats = fs.FeatureView(
    "customer_stats",
    source=fs.PushSource("payments", fs.FileSource("data/payments.parquet", timestamp_field="event_timestamp")),
    entities=[fs.Entity("customer_id", description="Somebody who pays")],
    schema=[fs.Field("transaction_id", types.Int64), fs.Field("amount", types.Float64)],
    event_id="transaction_id",
    aggregates=[
        fs.agg.mean("amount", name="avg_purchase", **MIDNIGHTS),
        fs.agg.count("7d", name="n_purchases_7d", **MIDNIGHTS),
        fs.agg.sum("amount", "1d", name="spent_24h"),  # To the microsecond: a payment counts once it is pushed.
    ],
)

# How a payment went, the rating and whether it was disputed, is known seven days after it. `available_at` keeps it from
# every label before that; `offset` ends the windows where all is known, so that none counts a week half empty.
KNOWN = {"offset": "7d", **MIDNIGHTS}
merchant_stats = fs.FeatureView(
    "merchant_stats",
    source=fs.FileSource("data/outcomes.parquet", timestamp_field="event_timestamp", available_at="known_at"),
    entities=[fs.Entity("merchant_id", description="Somebody who is paid: a shop, or one terminal of it")],
    schema=[fs.Field("rating", types.Float64), fs.Field("is_fraud", types.Bool)],
    aggregates=[
        fs.agg.mean("rating", name="avg_rating", **KNOWN),
        fs.agg.count("30d", where="is_fraud", name="n_disputes_30d", **KNOWN),
    ],
)


# What is judged comes with the request. Its amount needs no feature; for a training dataset it is in the labels.
@fs.on_demand_feature_view(
    sources=[fs.RequestSource("payment", schema=[fs.Field("event_timestamp", types.UnixTimestamp)])],
    schema=[fs.Field("hour_of_day", types.Int64, description="Hour at which it is paid, 0 to 23, UTC")],
    mode="python",
    singleton=True,
)
def transaction_features(payment: dict[str, Any]) -> dict[str, int]:
    """Return what the payment says itself."""
    return {"hour_of_day": payment["event_timestamp"].hour}


fraud_detection_v1 = fs.FeatureService(
    "fraud_detection_v1",
    features=[customer_stats, merchant_stats, transaction_features],
    description="Whether a payment is fraud",
)
