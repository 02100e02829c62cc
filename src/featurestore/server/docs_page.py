"""The OpenAPI document as a page for people: one file, with nothing to load from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import msgspec

__all__ = ["page"]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .6rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; }
code, pre, textarea { font: 14px/1.45 ui-monospace, monospace; }
pre, textarea { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: .6rem; }
pre { overflow: auto; }
textarea, input { width: 100%; box-sizing: border-box; }
textarea { min-height: 9rem; }
.verb { display: inline-block; min-width: 3.2rem; font-weight: 700; }
td { padding: .1rem .8rem .1rem 0; vertical-align: top; }
"""

_SCRIPT = """
for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const out = form.querySelector("output pre"), key = document.getElementById("key").value;
    const headers = key ? {"authorization": "Bearer " + key} : {};
    const body = form.querySelector("textarea");
    if (body) headers["content-type"] = "application/json";
    try {
      const answer = await fetch(form.dataset.path, {method: form.dataset.method, headers, body: body && body.value});
      out.textContent = answer.status + " " + answer.statusText + "\\n\\n" + await answer.text();
    } catch (error) { out.textContent = String(error); }
  });
}
"""

_EXAMPLES: dict[str, Any] = {
    "/get-online-features": {"features": ["driver_stats:conv_rate"], "entities": {"driver_id": [1001, 1002]}},
    "/v1/features:read": {"features": ["driver_stats"], "rows": [{"driver_id": 1001}], "statuses": True},
    "/push": {
        "push_source_name": "driver_stats_push",
        "df": {"driver_id": [1001], "event_timestamp": ["2026-11-21T10:00:00Z"], "conv_rate": [0.7]},
    },
    "/write-to-online-store": {
        "feature_view_name": "driver_stats",
        "df": {"driver_id": [1001], "event_timestamp": ["2026-11-21T10:00:00Z"], "conv_rate": [0.7]},
    },
    "/materialize": {"start_ts": "2026-11-20T00:00:00Z", "end_ts": "2026-11-21T00:00:00Z"},
    "/materialize-incremental": {"end_ts": "2026-11-21T00:00:00Z"},
}


def page(document: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    info = document["info"]
    body = "\n".join(_operations(document["paths"]))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(info["title"])} {escape(info["version"])}</title><style>{_STYLE}</style></head>
<body><h1>{escape(info["title"])} <small>{escape(info["version"])}</small></h1>
<p>{escape(info["description"])}</p>
<p>The same for programs: <a href="openapi.json">openapi.json</a>.</p>
<p><label>API key or token, kept on this page only: <input id="key" type="password" autocomplete="off"></label></p>
{body}
<script>{_SCRIPT}</script></body></html>
"""


def _operations(paths: dict[str, Any]) -> Iterator[str]:
    for path, methods in paths.items():
        for method, said in methods.items():
            yield (
                f'<details><summary><span class="verb">{method.upper()}</span> <code>{escape(path)}</code> '
                f"{escape(said['summary'])}</summary><p>{escape(said.get('description', ''))}</p>"
                f"<table>{''.join(_statuses(said['responses']))}</table>{_form(path, method)}</details>"
            )


def _statuses(responses: dict[str, Any]) -> Iterator[str]:
    for status, said in responses.items():
        yield f"<tr><td>{escape(status)}</td><td>{escape(said['description'])}</td></tr>"


def _form(path: str, method: str) -> str:
    example = _EXAMPLES.get(path)
    text = "" if example is None else escape(msgspec.json.format(msgspec.json.encode(example)).decode())
    area = f'<textarea aria-label="body">{text}</textarea>' if method == "post" else ""
    target = f'data-path="{escape(path.lstrip("/"))}" data-method="{method.upper()}"'
    return f"<form {target}>{area}<p><button>Send</button></p><output><pre></pre></output></form>"
