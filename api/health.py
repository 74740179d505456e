"""/health-checks: is the database readable. No session, every method, any path with the prefix.

Source: recorded answers `health.json`: four blanks of indentation, `?type=short`, raft only below
`/controller/raft`.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, request

import store
from domain.health import read_check

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]


def checks(*, short: bool) -> list[dict[str, Any]]:
    """The result of every check."""
    began = time.perf_counter()
    problem = ""
    try:
        read_check()
    except store.DatabaseError as e:
        problem = type(e).__name__
    result: dict[str, Any] = {"healthy": not problem, "id": "database.read"}
    if not short:
        result |= {
            "details": problem or None,
            "lastCheckDuration": f"{(time.perf_counter() - began) * 1e6:.3f}µs",
            "lastCheckTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    return [result]


def answer() -> Response:
    """200 while all is well, 503 else."""
    found = checks(short=request.args.get("type") == "short")
    healthy = all(c["healthy"] for c in found)
    document: dict[str, Any] = {"data": {"checks": found, "healthy": healthy}, "meta": {}}
    if request.path.endswith("/controller/raft"):
        document["raft"] = {"isLeader": False, "isRaftEnabled": False}
    body = json.dumps(document, indent=4, ensure_ascii=False) + "\n"
    return Response(body, 200 if healthy else 503, content_type="application/json")


def install(app: Flask) -> None:
    """Route every path with the prefix here."""

    def view(rest: str = "") -> Response:
        return answer()

    for rule in ("/health-checks", "/health-checks/<path:rest>", "/health-checks<path:rest>"):
        app.add_url_rule(rule, endpoint=f"health {rule}", view_func=view, methods=METHODS)
