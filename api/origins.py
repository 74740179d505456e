"""What pages of other origins may read (CORS: Fetch standard, 3.2), as the real controller allows it.

The APIs allow everybody by `*`, and whatever header is asked for (recorded: root, OPTIONS with an Origin). The OpenID
provider names the origin that asked, and its answers differ by it (`Vary`, recorded: oidc); its login pages are for
itself alone. Nothing here knows a caller by a cookie, so that a foreign page gets no more than a foreign program.
"""

from __future__ import annotations

from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request

from wire.resource import CLIENT, MANAGEMENT, OWN

_APIS = (MANAGEMENT, CLIENT, "/fabric", OWN)
_PROVIDER = "/oidc"
_PAGES = ("/oidc/login/", "/oidc/logged-out")
_METHODS = ("GET", "HEAD", "POST")
_HEADERS = ("accept", "accept-language", "authorization", "content-type", "origin", "x-requested-with")
_WANTED_METHOD, _WANTED_HEADERS = "Access-Control-Request-Method", "Access-Control-Request-Headers"


def allow_other_origins(req: Request, response: Response) -> None:
    """Add to an answer what a browser must find there before it shows it to a page of another origin."""
    path = req.path
    if path.startswith(_APIS):
        if "Origin" in req.headers:
            _allow_all(req, response.headers)
    elif (path + "/").startswith(_PROVIDER + "/") and not path.startswith(_PAGES):
        _allow_asker(req, response)


def _allow_all(req: Request, headers: Headers) -> None:
    headers["Access-Control-Allow-Origin"] = "*"
    headers["Access-Control-Allow-Credentials"] = "true"
    asked = req.headers.get(_WANTED_HEADERS)
    if req.method == "OPTIONS" and asked:
        headers["Access-Control-Allow-Headers"] = ",".join(h.strip().title() for h in asked.split(","))


def _allow_asker(req: Request, response: Response) -> None:
    response.vary.add("Origin")
    origin, method = req.headers.get("Origin"), req.headers.get(_WANTED_METHOD)
    if req.method == "OPTIONS" and method:
        response.status_code = 204
        response.vary.update((_WANTED_METHOD, _WANTED_HEADERS))
        asked = [h.strip().lower() for h in req.headers.get(_WANTED_HEADERS, "").split(",") if h.strip()]
        if method not in _METHODS or not set(asked) <= set(_HEADERS):
            return
        response.headers["Access-Control-Allow-Methods"] = method
        if asked:
            response.headers["Access-Control-Allow-Headers"] = ",".join(asked)
    elif origin:
        response.headers["Access-Control-Expose-Headers"] = "Location, Content-Length"
    if origin:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
