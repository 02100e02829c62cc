"""Commands that Feast has and this has not: what to type, or do, in their place."""

from __future__ import annotations

__all__ = ["INSTEAD"]

_READ_FILES = "share the repository, the registry (PostgreSQL) and the files; every client reads them"
_DATASETS = "saved datasets are Python's: fs.FeatureStore('.').list_saved_datasets()"
_LABELS = "declare labels as a FeatureView, or keep them in a file"

INSTEAD = {
    "batch-feature-views": "featurestore feature-views lists them with the others",
    "dbt": "declare a FileSource over what dbt writes",
    "delete": "take the declaration out of the repository, then featurestore apply",
    "demo-notebooks": "featurestore init makes an example that works",
    "endpoint": "the server is where you start it: featurestore serve --host --port",
    "label-views": _LABELS,
    "listen": "send rows over HTTP to featurestore serve, POST /push",
    "monitor": "featurestore skew, and the metrics of featurestore serve",
    "permissions": "give rights where files, registry and stores are; featurestore keys for the server",
    "projects": "a repository is one project: featurestore configuration shows its name",
    "registry-dump": "featurestore registry log, and featurestore KIND list --json, such as feature-views list --json",
    "saved-datasets": _DATASETS,
    "serve_lineage": "fs.lineage() in Python",
    "serve_offline": _READ_FILES,
    "serve_registry": _READ_FILES,
    "serve_transformations": "on-demand features are computed where they are asked for: featurestore serve",
    "stream-feature-views": "featurestore feature-views lists them with the others",
    "ui": "featurestore KIND list and KIND describe, or the routes at /docs of featurestore serve",
    "validate": "featurestore verify, and featurestore skew",
    "validation-references": "compare saved datasets in Python",
}
"""By the name of Feast's command."""
