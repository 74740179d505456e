"""/metrics: measurements in the Prometheus text format, and what feeds them.

Source: recorded answers `health.json`: any path with the prefix, any method, any Accept, no
authentication. It exists only if the setting `metrics` is on.
"""

from __future__ import annotations

from flask import Flask, Response

from api.health import METHODS
from domain import roots
from domain.context import Controller


def install(app: Flask, ctrl: Controller) -> None:
    """Serve /metrics if the setting is on."""

    def view(rest: str = "") -> Response:
        return Response(ctrl.metrics.text(roots.counts()), content_type=ctrl.metrics.CONTENT_TYPE)

    if ctrl.settings.metrics == "on":
        for rule in ("/metrics", "/metrics/<path:rest>", "/metrics<path:rest>"):
            app.add_url_rule(rule, endpoint=f"metrics {rule}", view_func=view, methods=METHODS)
