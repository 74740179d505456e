"""What all endpoints below /oidc share: clients, redirects, forms, errors in the shapes of OAuth.

Nothing here is in the API's envelope: OAuth has errors of its own (RFC 6749 section 5.2), and the
login endpoints answer as recorded in topic `oidc`.
"""

from __future__ import annotations

import functools
import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from html import escape
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from domain import controller_settings
from domain.care.attempts import sentence
from domain.context import Context
from domain.logins import access_tokens
from models import OidcRequest
from wire.errors import ApiError
from wire.resource import JSON_TYPE, Action, Result, now_ms

FORM_TYPE = "application/x-www-form-urlencoded"
# Public clients, as the SDKs and the command line call themselves: no secret, PKCE instead.
CLIENTS = ("openziti", "native")
SCOPES = ("openid", "offline_access")


class OAuthError(Exception):
    """An error that goes to the client as JSON. error: a code of RFC 6749 or RFC 8693."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error, self.description, self.status = error, description, status


class LoginError(Exception):
    """A refused login. code and message as the API's errors have them; reason is for the log."""

    def __init__(self, status: int, code: str, message: str, reason: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.reason = status, code, message, reason


# --- answers


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Result:
    """JSON without an envelope. Tokens must not be kept by anybody on the way (RFC 6749 section 5.1)."""
    raw = json.dumps(value, separators=(",", ":")).encode()
    return Result(raw=raw, status=status, headers={"Cache-Control": "no-store", **(headers or {})})


def as_text(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Result:
    """Plain text."""
    kind = "text/plain; charset=utf-8"
    return Result(raw=text.encode(), status=status, content_type=kind, headers=dict(headers or {}))


def not_served() -> Result:
    """What stands below /oidc for another host, or is not served at all."""
    return as_text("404 page not found\n", 404, {"X-Content-Type-Options": "nosniff"})


def redirect(url: str, *, page: bool = True) -> Result:
    """302. With page, a line of HTML for whoever does not follow."""
    headers = {"Location": url, "Cache-Control": "no-store"}
    if not page:
        return Result(raw=b"", status=302, headers=headers)
    raw = f'<a href="{escape(url)}">Found</a>.\n\n'.encode()
    return Result(raw=raw, status=302, headers=headers, content_type="text/html; charset=utf-8")


def with_query(url: str, **values: str) -> str:
    """The URL with further query parameters."""
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(values)}"


_CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_STYLE = (
    ":root{color-scheme:light dark}body{font:1rem system-ui;max-width:22rem;margin:12vh auto;padding:0 1rem}"
    "input,button{font:inherit;width:100%;box-sizing:border-box;margin:.3rem 0 1rem;padding:.4rem}"
)


def page(title: str, body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Result:
    """A small HTML page. title is plain text, body is HTML."""
    html = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )
    more = {"Content-Security-Policy": _CSP, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Result(
        raw=html.encode(), status=status, content_type="text/html; charset=utf-8", headers={**more, **(headers or {})}
    )


# --- requests


def endpoint(fn: Callable[[Context], Result]) -> Callable[[Context], Result]:
    """Serve an endpoint for the hosts of this controller only, and word its errors."""

    @functools.wraps(fn)
    def served(ctx: Context) -> Result:
        if not access_tokens.serves(ctx, ctx.headers.get("Host", "")):
            return not_served()
        try:
            return fn(ctx)
        except OAuthError as e:
            ctx.attempt.refuse(e.error, e.description)
            return as_json({"error": e.error, "error_description": e.description}, e.status)
        except LoginError as e:
            ctx.attempt.refuse(e.code, e.reason or e.message)
            return as_json({"code": e.code, "message": e.message}, e.status)
        except ApiError as e:
            ctx.attempt.refuse(e.code, sentence(e))
            return as_json({"code": e.code, "message": e.message}, e.status, e.headers)

    return served


def action(method: str, path: str, fn: Callable[[Context], Result], summary: str, *, attempt: str = "") -> Action:
    """An Action below /oidc."""
    return Action(
        method,
        f"{access_tokens.PATH}{path}",
        endpoint(fn),
        "public",
        ("",),
        consumes=(FORM_TYPE, JSON_TYPE),
        check_accept=False,
        summary=summary,
        attempt=attempt,
    )


def form(ctx: Context) -> dict[str, Any]:
    """The values of a request: its query, and its form or JSON body. Of repeated ones the first, but `configTypes`."""
    found: dict[str, Any] = {k: ctx.query[k] for k in ctx.query}
    if ctx.query.getlist("configTypes"):
        found["configTypes"] = ctx.query.getlist("configTypes")
    if ctx.content_type == JSON_TYPE:
        found |= _json_object(ctx.raw)
    elif ctx.content_type == FORM_TYPE:
        pairs = parse_qs(ctx.raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=100)
        found |= {k: v if k == "configTypes" else v[0] for k, v in pairs.items()}
    return found


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise LoginError(400, "COULD_NOT_PARSE_BODY", "The body of the request could not be parsed") from None
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else {}


def text(values: Mapping[str, Any], name: str) -> str:
    """A value that must be text; anything else counts as absent."""
    value = values.get(name)
    return value if isinstance(value, str) else ""


def client_of(ctx: Context, values: Mapping[str, Any]) -> str:
    """The client that calls: HTTP Basic without a secret, or `client_id`. Raises invalid_client."""
    scheme, _, rest = ctx.headers.get("Authorization", "").partition(" ")
    client = text(values, "client_id")
    if scheme == "Basic":
        try:
            client = unquote(b64decode(rest, validate=True).decode().partition(":")[0])
        except ValueError:
            raise OAuthError("invalid_client", "invalid basic auth header") from None
    if client not in CLIENTS:
        raise OAuthError("invalid_client", "client not found")
    return client


_PATTERN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/:@?#]+|\[[0-9A-Fa-f:]+\])?(?::(\d{1,5}|\*))?(/[^?#]*)?\Z")


def may_redirect(ctx: Context, uri: str, setting: str) -> bool:
    """Whether the controller settings let a client be sent there. setting: redirectUris or postLogoutUris."""
    return any(fits(uri, pattern) for pattern in controller_settings.effective(ctx)["oidc"][setting])


def fits(uri: str, pattern: str) -> bool:
    """Compare a URI with a pattern part by part: `*` stands for any port, and inside one step of the path.

    Compared as one text, `http://localhost:*/x` would let `http://localhost:@evil.example/x` through.
    """
    wanted, given = _PATTERN.match(pattern), _PATTERN.match(uri)
    if wanted is None or given is None or "*" in (given[3] or ""):
        return False
    same = wanted[1].lower() == given[1].lower() and (wanted[2] or "").lower() == (given[2] or "").lower()
    port = wanted[3] == "*" or wanted[3] == given[3]
    steps, found = (wanted[4] or "").split("/"), (given[4] or "").split("/")
    path = len(steps) == len(found) and all(fnmatchcase(f, _escaped(w)) for w, f in zip(steps, found, strict=True))
    return same and port and path


def _escaped(step: str) -> str:
    """Of what fnmatch takes as special only `*` is."""
    return step.replace("[", "[[]").replace("?", "[?]")


def request_of(key: str) -> OidcRequest | None:
    """The login under way with this id."""
    row: OidcRequest | None = OidcRequest.get_or_none(OidcRequest.id == key, OidcRequest.expires_at > now_ms())
    return row
