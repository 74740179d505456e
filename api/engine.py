"""From the table to the wire: routes, the one way of a request, the envelope.

Every request goes: route -> session -> media types -> body -> permission -> rule -> answer.
A rule never parses JSON, opens the entity's transaction, builds an envelope or checks a role.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request

import compact
import store
from api import schemas
from domain.care import audit, idempotency, qr, trouble
from domain.care.attempts import Attempt, sentence
from domain.context import API_VERSION, Context, Controller
from domain.logins import auth, scopes
from wire import accept
from wire.errors import ApiError, field_error, one_line
from wire.resource import JSON_TYPE, JWT_TYPE, Action, Param, Result

log = logging.getLogger("zitilite.api")

ERROR_META = {"apiEnrollmentVersion": API_VERSION, "apiVersion": API_VERSION}
# Statuses of answers that have a body and point nowhere.
_PLAIN = {200, 201, 202}
# JSON keeps these three only inside strings, so escaping the finished text is safe.
_ESCAPES = {b"<": b"\\u003c", b">": b"\\u003e", b"&": b"\\u0026"}
_ESCAPED = re.compile(b"[<>&]")
# What an item's token may be asked for as, besides JSON.
FORMS = (JWT_TYPE, "image/svg+xml", "image/png")
SCALE = Param("scale", "int64")


def json_bytes(value: Any) -> bytes:
    """Compact JSON with a final newline; `<`, `>` and `&` are written as escapes."""
    return _ESCAPED.sub(lambda m: _ESCAPES[m[0]], compact.dump(value)) + b"\n"


@dataclass(frozen=True)
class Operation:
    """One method on one path, ready to run."""

    action: Action
    base: str

    @cached_property
    def path(self) -> str:
        """Its path with the variable parts unfilled."""
        return (self.base + self.action.path) or "/"

    @cached_property
    def is_change(self) -> bool:
        """Whether the audit log has it."""
        return audit.is_change(self.action, self.base)

    def __call__(self, ctrl: Controller, req: Request, **ids: str) -> Response:
        """Answer one request; `ids` are the variable parts of the path."""
        ctx = make_context(ctrl, req, self.base, self.path)
        if self.action.attempt:
            ctx.attempt = attempt_of(ctx, self.action.attempt)
        try:
            result = self._answer(ctx, ids)
            # OIDC words its refusals itself.
            if ctx.attempt.refusal and (held_back := ctrl.doors.settle(ctx.attempt)):
                return error_response(ctx.request_id, held_back, ctx.headers.get("Accept", ""))
        except ApiError as e:
            ctx.attempt.refuse(e.code, _without_token(ctx, sentence(e)))
            e = ctrl.doors.settle(ctx.attempt) or e
            return error_response(ctx.request_id, e, ctx.headers.get("Accept", ""))
        except Exception as problem:
            if known := trouble.explain(problem):
                ctx.attempt.refuse(known.code, sentence(known))
                return error_response(ctx.request_id, known, ctx.headers.get("Accept", ""))
            ctx.attempt.refuse("UNHANDLED", f"an internal error; the server's log has it at request {ctx.request_id}")
            raise
        finally:
            ctrl.attempts.close(ctx.attempt)
            if ctx.is_audited:
                ctrl.news.ring()
                ctrl.webhook.ring()
        if ctx.concerns_all:
            ctrl.company.agree()
        if ctx.scope == scopes.READ:
            result = _redacted(result)
        return success_response(req, result)

    def _answer(self, ctx: Context, ids: dict[str, str]) -> Any:
        action = self.action
        if action.permission != "public":
            auth.resolve(ctx, partial=action.permission == "partial")
            ctx.attempt.of_identity(ctx.me)
        if ctx.api_token is not None and not scopes.permits(ctx.scope, action, ctx.base):
            raise scopes.refused(ctx.api_token.name, ctx.scope, action)
        wanted = ctx.headers.get("Accept", "")
        form = accept.preferred(wanted, FORMS) if action.jwt else None
        if action.check_accept and form is None:
            check_accept(wanted, action.produces)
        self._read_body(ctx)
        self._read_query(ctx)
        require(ctx, action)
        if form is not None:
            return token_form(ctx, action, form, ids)
        if action.creates and idempotency.HEADER in ctx.headers:
            return idempotency.once(ctx, lambda: self._run(ctx, ids))
        return self._run(ctx, ids)

    def _run(self, ctx: Context, ids: dict[str, str]) -> Any:
        """Run the rule, and see to it that the audit log has it."""
        action = self.action
        with store.write() if action.write else nullcontext():
            if not self.is_change:
                return action.fn(ctx, **ids)
            seen = None if isinstance(action.fn, partial) else audit.watch(ctx, action, ids)
            result = action.fn(ctx, **ids)
            if seen is not None:
                seen.record(result)
        return result

    def _read_body(self, ctx: Context) -> None:
        action = self.action
        if action.method == "GET" or (action.body is None and not ctx.raw):
            return
        if ctx.raw:
            check_content_encoding(ctx.headers.get("Content-Encoding", ""))
        if ctx.raw or ctx.content_type:
            ctx.content_type = check_content_type(ctx.content_type, action.consumes) if ctx.raw else ""
        if action.body is not None and ctx.content_type in ("", JSON_TYPE):
            ctx.body = schemas.checker_of(action.body).check(ctx.raw)

    def _read_query(self, ctx: Context) -> None:
        for p in self.action.query:
            check_param(p, ctx.query)


def token_form(ctx: Context, action: Action, form: str, ids: dict[str, str]) -> Result:
    """An item's enrollment token as such, or as a QR code of `?scale=` pixels a module."""
    if ctx.scope == scopes.READ or action.jwt is None:
        raise scopes.refused(ctx.api_token.name if ctx.api_token else "", ctx.scope, action)
    check_param(SCALE, ctx.query)
    token = action.jwt(ctx, **ids)
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    if form == JWT_TYPE:
        return Result(raw=token.encode(), content_type=form, headers=headers)
    kind = "png" if form == "image/png" else "svg"
    scale = min(max(int(ctx.query.get("scale") or 6), 1), 40)
    return Result(raw=qr.image(token, kind, scale), content_type=form, headers=headers)


def make_context(ctrl: Controller, req: Request, base: str, template: str = "") -> Context:
    """Gather what the rules may look at."""
    return Context(
        ctrl=ctrl,
        base=base,
        method=req.method,
        path=req.path,
        query=req.args,
        headers=req.headers,
        remote=req.remote_addr or "",
        peer=req.environ.get("zitilite.peer", ()),
        raw=req.get_data(cache=False) if req.method != "HEAD" else b"",
        content_type=req.headers.get("Content-Type", ""),
        request_id=new_request_id(),
        is_local="zitilite.local" in req.environ,
        template=template,
    )


def attempt_of(ctx: Context, kind: str) -> Attempt:
    """What the log of attempts knows from the start: from where, and with which certificate."""
    presented = ctx.peer[0] if ctx.peer else None
    return Attempt(kind, ctx.remote, ctx.request_id, certificate=presented)


def _without_token(ctx: Context, reason: str) -> str:
    """The reason as the log may have it: complaints about a token repeat it."""
    token = ctx.query.get("token")
    return reason.replace(token, "…") if token else reason


def new_request_id() -> str:
    """Nine characters that name a request in its answer and in the log."""
    return secrets.token_urlsafe(7)[:9].replace("_", ".")


def require(ctx: Context, action: Action) -> None:
    """Raise UNAUTHORIZED unless the caller may do this."""
    permission = action.permission
    if permission in ("public", "session", "partial"):
        return
    allowed = ctx.owner_is_admin if permission == "admin" else ctx.allows(permission)
    if not allowed:
        raise ApiError("UNAUTHORIZED", log=f"needs permission {permission}")


def check_accept(accept: str, produces: Sequence[str]) -> None:
    """Raise 406 unless the Accept header allows one of `produces`."""
    if not accept:
        return
    for item in accept.split(","):
        kind = item.split(";")[0].strip().lower()
        if kind in ("*/*", "") or any(kind in (p, p.split("/")[0] + "/*") for p in produces):
            return
    raise field_error(
        "Accept",
        f"unsupported media type requested, only [{' '.join(produces)}] are available",
        accept,
        status=406,
    )


def check_content_type(header: str, consumes: Sequence[str]) -> str:
    """The media type of the body, checked. A missing header counts as `application/octet-stream`."""
    kind = header.split(";", maxsplit=1)[0].strip().lower() or "application/octet-stream"
    if "/" not in kind:
        problem = f'mediatype: malformed: "{header}" has no subtype'
        raise ApiError("COULD_NOT_PARSE_BODY", f'parsing Content-Type header from "{header}" failed, because {problem}')
    if kind not in consumes:
        reason = f'unsupported media type "{kind}", only [{" ".join(consumes)}] are allowed'
        raise field_error("Content-Type", reason, kind, status=415)
    return kind


def check_content_encoding(header: str) -> None:
    """Raise 415 for a compressed body: unpacked, a small one may be of any size (RFC 9110 section 15.5.16)."""
    if header.strip().lower() in ("", "identity"):
        return
    reason = "compressed bodies are not accepted: send it without Content-Encoding"
    raise ApiError(
        "COULD_NOT_VALIDATE",
        {"field": "Content-Encoding", "reason": reason, "value": header[:100]},
        status=415,
        headers={"Accept-Encoding": "identity"},
    )


_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


def check_param(p: Param, query: Any) -> None:
    """Raise 601, 602 or 606 for a query parameter that is wrong, missing or none of its choices."""
    value = query.get(p.name)
    if value is None or value == "":
        if p.required:
            raise field_error(p.name, f"{p.name} in query is required", [] if value is None else "", status=602)
        return
    if p.choices and value not in p.choices:
        raise field_error(p.name, f"{p.name} in query should be one of [{' '.join(p.choices)}]", value, status=606)
    wrong = (p.kind == "int64" and not _is_int64(value)) or (p.kind == "uuid" and not _UUID.match(value))
    if wrong:
        raise field_error(p.name, f'{p.name} in query must be of type {p.kind}: "{value}"', value, status=601)


def _is_int64(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d{1,19}", text)) and -(2**63) <= int(text) < 2**63


def _redacted(result: Any) -> Any:
    """What an API token of scope `read` gets to see of an answer."""
    if isinstance(result, Result):
        return replace(result, data=scopes.without_secrets(result.data))
    return scopes.without_secrets(result)


class Answer(Response):
    """A response with a body that is there; sent without looking for what werkzeug would mend in others."""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Send it, by WSGI."""
        is_plain = environ["REQUEST_METHOD"] != "HEAD" and self.status_code in _PLAIN
        if not is_plain:
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return self.response


def success_response(req: Request, result: Any) -> Response:
    """Put a rule's value into the envelope."""
    r = result if isinstance(result, Result) else Result(result)
    if r.stream is not None:
        streamed = Response(r.stream, status=_status(r.status), headers={"Content-Type": r.content_type, **r.headers})
        # A HEAD or a client that left must not leave the rest to be made.
        streamed.implicit_sequence_conversion = False
        return streamed
    if r.hold is not None:
        return _held_response(req, r)
    body = r.raw if r.raw is not None else json_bytes({"data": r.data, "meta": r.meta})
    if body:
        return Answer(body, _status(r.status), Headers((("Content-Type", r.content_type), *r.headers.items())))
    response = Response(body, _status(r.status))
    response.headers.pop("Content-Type", None)
    response.headers.extend(r.headers)
    return response


def _held_response(req: Request, r: Result) -> Response:
    """The head of an answer that goes on after this request has been dealt with."""
    req.environ["zitilite.hold"](r.hold)
    # An iterator, so that no length is announced.
    response = Response(iter((b"",)), status=r.status)
    response.headers["Content-Type"] = r.content_type
    response.headers.extend(r.headers)
    return response


def _status(code: int) -> str | int:
    # 601, 602 and 606 have no name; the status line then repeats the number, as recorded.
    return f"{code} status code {code}" if code >= 600 else code


def error_response(request_id: str, e: ApiError, wanted: str = "") -> Response:
    """The error envelope: `{"error": {cause?, code, message, requestId}, "meta": {…}}`.

    Whoever prefers `text/plain` to JSON in `wanted`, the Accept header, gets one readable line; but not when the
    error is that this type is not available, which is recorded as JSON.
    """
    error: dict[str, Any] = {"code": e.code, "message": e.message, "requestId": request_id}
    if e.cause is not None:
        error["cause"] = e.cause
    level = logging.WARNING if e.status >= 500 else logging.INFO
    log.log(level, "request %s refused: %d %s %s", request_id, e.status, e.code, e.log)
    about_type = e.status == 406 or e.code == "UNSUPPORTED_MEDIA"
    as_text = not about_type and accept.preferred(wanted, ("text/plain",)) is not None
    body = one_line(e, request_id).encode() if as_text else json_bytes({"error": error, "meta": ERROR_META})
    response = Response(body, status=_status(e.status))
    response.headers["Content-Type"] = "text/plain; charset=utf-8" if as_text else JSON_TYPE
    response.headers.extend(e.headers)
    return response
