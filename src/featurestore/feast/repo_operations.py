"""What Feast's command line does with a repository: here the store does it."""

from __future__ import annotations

from featurestore.feast._refusal import refused

__all__ = ["apply_total", "init_repo", "parse_repo", "plan", "registry_dump", "teardown"]

_OBJECTS = "featurestore.FeatureStore(repo_path).load_declarations()"

apply_total = refused(
    "apply_total",
    module=__name__,
    instead="`featurestore apply`, or store = featurestore.FeatureStore(repo_path) and "
    "store.apply_plan(store.plan_repository())",
)
init_repo = refused("init_repo", module=__name__, instead="`featurestore init NAME`")
parse_repo = refused("parse_repo", module=__name__, instead=_OBJECTS)
plan = refused(
    "plan",
    module=__name__,
    instead="`featurestore plan`, or plan_repository() of featurestore.FeatureStore(repo_path)",
)
registry_dump = refused("registry_dump", module=__name__, instead="`featurestore registry log`, and KIND list --json")
teardown = refused(
    "teardown", module=__name__, instead="`featurestore teardown`, or FeatureStore(repo_path).teardown()"
)
