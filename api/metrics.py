"""/metrics: measurements in the Prometheus text format, and what feeds them.

Source: recorded answers `health.json`: any path with the prefix, any method, any Accept, no
authentication. It exists only if the setting `metrics` is on.
"""

from __future__ import annotations

import time

from flask import Flask, Response, request

from api.health import METHODS
from domain import metrics, roots
from domain.context import Controller


def install(app: Flask, ctrl: Controller) -> None:
    """Measure every request; serve /metrics if the setting is on."""

    def start() -> None:
        request.environ["zitilite.measured"] = time.perf_counter()

    def end(response: Response) -> Response:
        took = time.perf_counter() - request.environ.get("zitilite.measured", time.perf_counter())
        operation = request.url_rule.rule if request.url_rule else "unknown"
        ctrl.metrics.answered(request.method, operation, response.status_code, took)
        return response

    def view(rest: str = "") -> Response:
        return Response(ctrl.metrics.text(roots.counts()), content_type=metrics.CONTENT_TYPE)

    app.before_request(start)
    app.after_request(end)
    if ctrl.settings.metrics == "on":
        for rule in ("/metrics", "/metrics/<path:rest>", "/metrics<path:rest>"):
            app.add_url_rule(rule, endpoint=f"metrics {rule}", view_func=view, methods=METHODS)
