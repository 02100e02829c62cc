"""The OpenAPI document: request bodies from the types that read them, so that both always agree."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from featurestore.server.requests import ARROW, FeastRead, Materialize, MaterializeIncremental, Push, Read, Write

__all__ = ["document"]

_REF = "#/components/schemas/"
_JSON = "application/json"


def _text(**more: Any) -> dict[str, Any]:
    return {"type": "string", **more}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


_ONE_OF = [
    {
        "required": ["features"],
        "properties": {"features": {"type": "array"}, "feature_service": {"type": "null"}},
    },
    {
        "required": ["feature_service"],
        "properties": {"feature_service": {"type": "string"}, "features": {"type": "null"}},
    },
]
"""A read names its features, or a service that does."""
_STATUS = _text(enum=["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE", "ERROR"])
_STAMP = _text(format="date-time")
_MAYBE_TEXT = {"type": ["string", "null"]}

_ANSWERS: dict[str, Any] = {
    "FeastAnswer": _object(
        ["metadata", "results"],
        metadata=_object(["feature_names"], feature_names=_list(_text())),
        results=_list(
            _object(
                ["values", "statuses", "event_timestamps"],
                values=_list({}),
                statuses=_list(_STATUS),
                event_timestamps=_list(_STAMP),
            )
        ),
    ),
    "ReadAnswer": _object(
        ["rows"],
        rows=_list({"type": "object"}),
        statuses=_list({"type": "object", "additionalProperties": _STATUS}),
        event_timestamps=_list(
            {"type": "object", "additionalProperties": {"type": ["string", "null"], "format": "date-time"}}
        ),
    ),
    "Ready": _object(["ready"], ready={"type": "boolean"}),
    "Error": _object(
        ["error", "request_id"],
        error=_object(
            ["type", "what", "found", "expected", "fix"],
            type=_text(),
            what=_text(),
            found=_MAYBE_TEXT,
            expected=_MAYBE_TEXT,
            fix=_MAYBE_TEXT,
        ),
        request_id=_text(),
    ),
}

_MEANINGS = {
    400: "The body is no JSON.",
    401: "It is not known who is asking.",
    403: "The key or token has no scope for this.",
    404: "A view, feature, service or source that there is not.",
    405: "The route is asked in another way.",
    409: "Something has to happen first, or somebody else changed it meanwhile.",
    413: "Too many bytes or rows.",
    415: "A body of another kind.",
    422: "JSON of another form, or rows that cannot stand.",
    500: "The server failed.",
    503: "A store does not answer; try again.",
    504: "It took too long.",
}


def _errors(*statuses: int) -> dict[str, Any]:
    content = {_JSON: {"schema": {"$ref": _REF + "Error"}}}
    return {str(status): {"description": _MEANINGS[status], "content": content} for status in statuses}


def _body(cls: type) -> dict[str, Any]:
    return {"required": True, "content": {_JSON: {"schema": {"$ref": _REF + cls.__name__}}}}


def _read(summary: str, body: type, answer: str, description: str) -> dict[str, Any]:
    content = {
        _JSON: {"schema": {"$ref": _REF + answer}},
        ARROW: {"schema": _text(format="binary")},
    }
    return {
        "post": {
            "summary": summary,
            "description": description,
            "tags": ["read"],
            "operationId": body.__name__,
            "security": _SECURITY,
            "requestBody": _body(body),
            "responses": {
                "200": {"description": "The features, a row for each row.", "content": content},
                **_errors(400, 401, 403, 404, 405, 409, 413, 415, 422, 500, 503, 504),
            },
        }
    }


_SECURITY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"key": []}]
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`return=representation` answers with what became of it.",
    "schema": _text(enum=["return=representation", "return=minimal"]),
}


def _change(summary: str, body: type, description: str, *, is_empty: bool = False) -> dict[str, Any]:
    done: dict[str, Any] = {} if is_empty else {"content": {_JSON: {"schema": {}}}}
    return {
        "post": {
            "summary": summary,
            "description": description,
            "tags": ["write"],
            "operationId": body.__name__,
            "security": _SECURITY,
            "parameters": [_PREFER],
            "requestBody": _body(body),
            "responses": {
                "200": {"description": "Done.", **done},
                **_errors(400, 401, 403, 404, 405, 409, 413, 415, 422, 500, 503, 504),
            },
        }
    }


def _told(summary: str, kind: str, schema: dict[str, Any], *errors: int, is_open: bool = True) -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            "tags": ["server"],
            "security": [] if is_open else _SECURITY,
            "responses": {
                "200": {"description": summary, **({"content": {kind: {"schema": schema}}} if kind else {})},
                **_errors(*errors, 405, 500),
            },
        }
    }


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    from featurestore import __version__

    bodies = (FeastRead, Read, Push, Write, Materialize, MaterializeIncremental)
    _, schemas = msgspec.json.schema_components(bodies, ref_template=_REF + "{name}")
    for name in ("FeastRead", "Read"):
        schemas[name]["oneOf"] = _ONE_OF
    return {
        "openapi": "3.1.0",
        "info": {"title": "featurestore", "version": __version__, "description": _ABOUT},
        "paths": {
            "/get-online-features": _read(
                "Read features, by column",
                FeastRead,
                "FeastAnswer",
                "Feast's form: `results[i]` is the column of `metadata.feature_names[i]`, join keys first. Name either "
                "`features` (`view:feature`, or `view` for all) or a `feature_service`.",
            ),
            "/v1/features:read": _read(
                "Read features, by row",
                Read,
                "ReadAnswer",
                "One object for each row, in their order; `statuses` and `event_timestamps` beside them on request.",
            ),
            "/push": _change(
                "Push rows",
                Push,
                'To the event log and online (`"to": "both"`), or to one of them (`"offline"`, `"online"`). Repeating '
                "it under the same `idempotency_key` adds nothing.",
                is_empty=True,
            ),
            "/write-to-online-store": _change("Put rows online", Write, "Training never sees them."),
            "/materialize": _change("Materialize a range of time", Materialize, "Needs the scope `admin`."),
            "/materialize-incremental": _change(
                "Materialize what is missing", MaterializeIncremental, "Needs the scope `admin`."
            ),
            "/health": _told("The process answers", "", {}),
            "/v1/ready": _told("The stores answer", _JSON, {"$ref": _REF + "Ready"}, 503, 504),
            "/metrics": _told("Counts for Prometheus", "text/plain", _text(), 401, 403, 503, 504, is_open=False),
            "/openapi.json": _told("This document", _JSON, {"type": "object"}),
            "/docs": _told("The same for people", "text/html", _text()),
        },
        "components": {
            "schemas": {**schemas, **_ANSWERS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a JSON Web Token."},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


_ABOUT = (
    "Online features over HTTP. Times are ISO 8601 in UTC, decimals are text, bytes are Base64, and NaN and "
    "infinities, which JSON does not have, are null with the status PRESENT; an Arrow stream (Accept: "
    "application/vnd.apache.arrow.stream) has every value as it is. Every answer has an x-request-id."
)
