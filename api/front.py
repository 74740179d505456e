"""The WSGI application: the operations of the table, and Flask for the few pages beside them.

A request for an operation does not pass Flask: its route is found in `routing.Tree`, and what Flask would set up
for a view (contexts, signals, hooks) nobody looks at. What every answer gets is in one place, `_finish`, for both.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Flask, Response
from flask import request as current
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.wrappers import Request

import store
from api import compression
from api.engine import Operation, error_response, new_request_id
from api.origins import allow_other_origins
from api.routing import Found, Tree
from domain.context import Controller
from wire.errors import ApiError
from wire.resource import CLIENT, Action

log = logging.getLogger("zitilite.api")
access = logging.getLogger("zitilite.access")

OIDC_ROOT = "/oidc/"
ROOTS = ("/edge/", "/.well-known/", "/fabric/", "/zitilite/", "/static/", "/console/", "/health-checks", "/metrics")
_BEGAN = "zitilite.began"
_OPERATION = "zitilite.operation"
_DOUBLED = re.compile(r"/{2,}")


def normal_path(path: str, roots: tuple[str, ...] = ROOTS) -> str:
    """The canonical form of a request path.

    Doubled and trailing slashes go; `/edge/v1` and anything outside the known roots is client API.
    """
    if "//" in path:
        path = _DOUBLED.sub("/", path)
    if len(path) > 1:
        path = path.rstrip("/") or "/"
    if path.startswith("/edge/v1/") or path == "/edge/v1":
        return CLIENT + path[len("/edge/v1") :]
    if path == "/edge" or (path + "/").startswith(roots):
        return path
    return CLIENT if path == "/" else CLIENT + path


class Front(Flask):
    """All that the controller serves. With OIDC switched off, everything below `/oidc` is client API, too."""

    def __init__(self, ctrl: Controller, actions: Iterable[Action]) -> None:
        super().__init__("zitilite", static_folder=None)
        self.ctrl = ctrl
        self._is_measured = ctrl.settings.metrics == "on"
        self.roots = (*ROOTS, OIDC_ROOT) if ctrl.settings.oidc == "on" else ROOTS
        self.operations: Tree[Operation] = Tree()
        for action in actions:
            for base in action.bases:
                self.operations.add(action.method, base + action.path, Operation(action, base))
        self.register_error_handler(HTTPException, lambda e: _http_error(current, e))
        self.register_error_handler(Exception, lambda e: _unexpected(current, e))
        self.after_request(lambda response: self._finish(current, response))

    def is_quick(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> bool:
        """Whether a request will be answered within a millisecond or two, and waits for nothing but the database."""
        if "AUTHORIZATION" in headers:
            return False  # the keys of an external token may have to be fetched
        found = self.operations.find(method, _text(normal_path(path, self.roots)))
        if not isinstance(found, Found):
            return False
        action = found.target.action
        return action.quick is not None and action.quick(query) and (method == "GET" or store.is_quick())

    def wsgi_app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request of WSGI."""
        environ[_BEGAN] = time.perf_counter()
        method, path = environ["REQUEST_METHOD"], normal_path(environ.get("PATH_INFO", "/"), self.roots)
        if path == CLIENT and environ.get("PATH_INFO") == "/" and _wants_page(environ):
            path = "/console"
        environ["PATH_INFO"] = path
        found = self.operations.find(method, _text(path))
        if not found:
            answer: Iterable[bytes] = super().wsgi_app(environ, start_response)
            return answer
        req = Request(environ)
        response = self._answer(req, found)
        return self._finish(req, response)(environ, start_response)

    def _answer(self, req: Request, found: Found[Operation] | tuple[str, ...]) -> Response:
        if not isinstance(found, Found):
            return _http_error(req, MethodNotAllowed(valid_methods=list(found)))
        operation = found.target
        req.environ[_OPERATION] = operation.path
        try:
            return operation(self.ctrl, req, **found.ids)
        except HTTPException as e:
            return _http_error(req, e)
        except Exception as e:  # noqa: BLE001 - whatever it is, the client gets an answer and the log the rest
            return _unexpected(req, e)

    def _finish(self, req: Request, response: Response) -> Response:
        """What every answer gets, and what is kept of it."""
        response.headers["ziti-instance-id"] = self.ctrl.instance_id
        allow_other_origins(req, response)
        compression.compress(req, response)
        seconds = time.perf_counter() - req.environ.get(_BEGAN, time.perf_counter())
        if self._is_measured:
            rule = getattr(req, "url_rule", None)
            operation = req.environ.get(_OPERATION) or (rule.rule if rule else "unknown")
            self.ctrl.metrics.answered(req.method, operation, response.status_code, seconds)
        if access.isEnabledFor(logging.INFO):
            # Without its query, which may hold a token.
            where = req.remote_addr
            access.info("%s %s %d %.1f ms %s", req.method, req.path, response.status_code, 1000 * seconds, where)
        return response


def _text(path: str) -> str:
    """A path as WSGI has it, each byte a character, as the UTF-8 that it is (PEP 3333)."""
    return path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace")


def _wants_page(environ: dict[str, Any]) -> bool:
    """Whether a page is wanted; every other client gets the version document at `/`."""
    return environ.get("REQUEST_METHOD") == "GET" and "text/html" in environ.get("HTTP_ACCEPT", "")


def _http_error(req: Request, e: HTTPException) -> Response:
    request_id, wanted = new_request_id(), req.headers.get("Accept", "")
    if req.method == "OPTIONS":
        return _options()
    if isinstance(e, MethodNotAllowed):
        allowed = ",".join(sorted(e.valid_methods or ()))
        cause = f"method {req.method} is not allowed, but [{allowed}] are"
        return error_response(request_id, ApiError("METHOD_NOT_ALLOWED", cause, headers={"Allow": allowed}), wanted)
    if isinstance(e, NotFound) and (req.path + "/").startswith(OIDC_ROOT):
        return Response("404 page not found\n", 404, {"X-Content-Type-Options": "nosniff"}, "text/plain")
    if isinstance(e, NotFound):
        return error_response(request_id, ApiError("NOT_FOUND", f"path {req.path} was not found"), wanted)
    return error_response(request_id, ApiError("BAD_REQUEST", e.description or e.name, status=e.code or 400), wanted)


def _options() -> Response:
    response = Response(b"", 200)
    response.headers.pop("Content-Type", None)
    return response


def _unexpected(req: Request, e: Exception) -> Response:
    """Anything nobody foresaw: the traceback goes to the log, the caller gets the request id."""
    request_id = new_request_id()
    wanted = req.headers.get("Accept", "")
    if store.is_shared and isinstance(e, store.OperationalError):
        log.error("request %s %s %s: %s", request_id, req.method, req.path, e)
        cause = "the connection to the database server was lost: try again in a moment"
        return error_response(request_id, ApiError("DATABASE_UNAVAILABLE", cause, headers={"Retry-After": "1"}), wanted)
    if store.is_shared and isinstance(e, store.DataError):
        reason = "a text holds the character NUL, or a number is out of range: PostgreSQL does not keep that"
        return error_response(request_id, ApiError("COULD_NOT_VALIDATE", reason), wanted)
    log.error("request %s %s %s failed", request_id, req.method, req.path, exc_info=e)
    error = ApiError("UNHANDLED", f"an internal error; the log has the details under request id {request_id}")
    return error_response(request_id, error, wanted)
