"""The console: plain files from `static/`, with a strict content security policy."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, Response, send_from_directory

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "font-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def install(app: Flask, folder: Path) -> None:
    """Serve `/console` and `/static/…`."""

    def file(name: str) -> Response:
        response = send_from_directory(folder, name)
        response.headers.extend(HEADERS)
        return response

    def index() -> Response:
        return file("index.html")

    app.add_url_rule("/console", endpoint="console", view_func=index, methods=["GET"])
    app.add_url_rule("/static/<path:name>", endpoint="static", view_func=file, methods=["GET"])
