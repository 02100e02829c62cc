"""What `featurestore apply` reads: one entity, one source, two views of it, and a service."""

from featurestore import Entity, FeatureService, FeatureView, Field, FileSource, types

driver = Entity("driver", join_keys=["driver_id"], description="Somebody who drives")

stats = FileSource(
    "data/driver_stats.parquet",
    name="driver_stats_source",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)

SCHEMA = [
    Field("conv_rate", types.Float64, description="Requests that became rides"),
    Field("trips", types.Int64, description="Rides since the log began"),
]

# A value holds for a week, or for a day: the same rows, and another answer where they are three days old.
driver_stats = FeatureView("driver_stats", source=stats, entities=[driver], schema=SCHEMA, ttl="7d")
driver_stats_today = FeatureView("driver_stats_today", source=stats, entities=[driver], schema=SCHEMA, ttl="1d")

driver_activity = FeatureService("driver_activity", features=[driver_stats])
