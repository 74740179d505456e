"""The enrollment operations of the client API, and what belongs to them.

Source: /enroll* of the client API, recorded answers of topics `enroll_ott`, `enroll_ottca`, `enroll_ca`,
`enroll_updb`, `routers`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pki
import store
from domain.care import blocked
from domain.context import Context
from domain.enrolling import methods, spending
from domain.logins import credentials
from models import Router
from wire.errors import ApiError, field_error, not_found
from wire.resource import CLIENT, Action, Body, Field, Kind, Param, Result, always


def enroll(ctx: Context) -> Result:
    """POST /enroll?method=…&token=…: the form that real clients use, for every method."""
    method = ctx.query.get("method") or ""
    ctx.attempt.method = method[:20] or "ott"
    token = ctx.query.get("token")
    is_json = isinstance(ctx.body, dict)
    body: dict[str, Any] = ctx.body if is_json else {}
    if is_json and ctx.raw and token and not _looks_like_uuid(token):
        raise field_error("token", f'token in query must be of type uuid: "{token}"', token, status=601)
    match method:
        case "" | "ott":
            if not (is_json and ctx.raw):
                _require_json_accepted(ctx)
            answer = methods.ott(ctx, token, body.get("clientCsr") if is_json and ctx.raw else ctx.raw)
            if not method:
                del answer["controllers"]
        case "ottca":
            answer = methods.ottca(ctx, token)
        case "ca":
            answer = methods.ca_auto(ctx, body.get("name"))
        case "updb":
            answer = methods.updb(ctx, token, body.get("password"))
        case "erott" | "trott":
            answer = methods.erott(ctx, token, body.get("certCsr"), body.get("serverCertCsr"))
        case _:
            known = "ott, ottca, ca, updb, erott"
            raise ApiError("INVALID_ENROLL_METHOD", log=f"method {method[:20]!r} is unknown; known are {known}")
    return Result(answer)


def _looks_like_uuid(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4


def _require_json_accepted(ctx: Context) -> None:
    """A CSR sent as PEM is answered with JSON only; asking for something else is refused, as recorded."""
    accept = ctx.headers.get("Accept", "")
    if accept and not any(kind in accept for kind in ("application/json", "*/*", "application/*")):
        raise ApiError("UNSUPPORTED_MEDIA")


def enroll_ott(ctx: Context) -> Any:
    """POST /enroll/ott."""
    return methods.ott(ctx, ctx.body.get("token"), ctx.body.get("clientCsr"))


def enroll_ottca(ctx: Context) -> Any:
    """POST /enroll/ottca."""
    return methods.ottca(ctx, ctx.body.get("token"))


def enroll_ca(ctx: Context) -> Any:
    """POST /enroll/ca."""
    return methods.ca_auto(ctx, ctx.body.get("name") if isinstance(ctx.body, dict) else None)


def enroll_updb(ctx: Context) -> Any:
    """POST /enroll/updb?token=…."""
    return methods.updb(ctx, ctx.query["token"], ctx.body.get("password"))


def enroll_erott(ctx: Context) -> Any:
    """POST /enroll/erott: both spellings of the CSRs' names are understood."""
    body = ctx.body
    return methods.erott(
        ctx,
        body.get("token"),
        body.get("clientCsr") or body.get("certCsr"),
        body.get("serverCsr") or body.get("serverCertCsr"),
    )


def extend_router(ctx: Context) -> Any:
    """POST /enroll/extend/router: an enrolled router renews both certificates; the old one ends at once."""
    ctx.attempt.method = "router"
    leaf = ctx.peer[0] if ctx.peer else None
    router = Router.get_or_none(Router.fingerprint == leaf.fingerprint) if leaf else None
    if leaf is None:
        raise ApiError("UNAUTHORIZED", log="no client certificate was presented: a router renews with its present one")
    if router is None or not ctx.ctrl.authority.issued(leaf):
        why = f"certificate {leaf.subject} is no router's present one: the router was re-enrolled, renewed or deleted"
        raise ApiError("UNAUTHORIZED", log=why)
    if block := blocked.problem(ctx.peer):
        raise ApiError("UNAUTHORIZED", log=block)
    ctx.attempt.router, ctx.attempt.router_name = router.id, router.name
    csrs = []
    for name in ("certCsr", "serverCertCsr"):
        try:
            csrs.append(pki.load_csr(ctx.body[name]))
        except pki.BadCsr as problem:
            raise _nested("COULD_NOT_PROCESS_CSR", ctx, f"{name}: {problem}") from None
    try:
        cert, server_cert = ctx.ctrl.authority.issue_router(csrs[0], csrs[1], router.id)
    except pki.BadCsr as problem:
        raise _nested("EDGE_ROUTER_ENROLL_COMMON_NAME_INVALID", ctx, str(problem)) from None
    authority = ctx.ctrl.authority
    with store.write():
        current = Router.get_or_none(Router.id == router.id, Router.fingerprint == leaf.fingerprint)
        if current is None:
            raise ApiError("UNAUTHORIZED", log="the router's certificate was replaced a moment ago")
        spending.set_router_certificate(router.id, cert, cert.pem)
        ctx.attempt.certificate = cert
        ctx.attempt.succeeded()
    return {"cert": authority.chain_pem(cert), "serverCert": authority.chain_pem(server_cert)}


def _nested(code: str, ctx: Context, why: str) -> ApiError:
    """An error whose cause is another of the API's errors, as recorded for router extension."""
    message = ApiError(code).message
    cause = {"code": code, "message": message, "requestId": ctx.request_id}
    return ApiError("COULD_NOT_PROCESS_CSR", cause, log=why)


def enrollment_jwks(ctx: Context) -> Any:
    """GET /enroll/jwks: the public key that verifies enrollment tokens, as a JWK Set."""
    return ctx.ctrl.signer.jwks()


def challenge(ctx: Context) -> Any:
    """POST /enroll/challenge: prove possession of the signing key by signing the caller's nonce, a UUID."""
    kid = ctx.ctrl.authority.signing_key().kid
    if ctx.body["keyId"] != kid:
        raise not_found("key", ctx.body["keyId"])
    signature, algorithm, kid = ctx.ctrl.signer.answer(ctx.body["nonce"])
    pool = "".join(c.pem for c in ctx.ctrl.authority.bundle)
    return {"signature": signature, "algorithm": algorithm, "kid": kid, "caPool": pool}


_TOKEN = Field("token")
_CSR = Field("clientCsr")
GENERIC = Body(
    "body",
    "GenericEnroll",
    (_TOKEN, _CSR, Field("certCsr"), Field("serverCertCsr"), Field("name"), Field("username"), Field("password")),
    optional=True,
)
OTT = Body("ottEnrollmentRequest", "OttEnrollmentRequest", (_TOKEN, _CSR))
OTTCA = Body("ottEnrollmentRequest", "OttCaEnrollmentRequest", (_TOKEN,))
CA = Body("body", "CaEnrollment", (Field("name"),), optional=True)
UPDB = Body(
    "updbCredentials",
    "UpdbCredentials",
    (Field("username"), Field("password", credentials.PASSWORD)),
    prefix="updbCredentials.",
)
EROTT = Body(
    "erottEnrollmentRequest",
    "ErottEnrollmentRequest",
    (_TOKEN, _CSR, Field("serverCsr"), Field("certCsr"), Field("serverCertCsr")),
)
EXTEND = Body(
    "routerExtendEnrollmentRequest",
    "RouterExtendEnrollmentRequest",
    (Field("certCsr", required="c"), Field("serverCertCsr", required="c")),
)
UUID = Kind("text", {"type": "string", "format": "uuid"}, "strfmt.UUID")
CHALLENGE = Body("nonce", "NonceChallenge", (Field("nonce", UUID, required="c"), Field("keyId", required="c")))
ANY_BODY = ("text/plain", "application/pkcs7", "application/json", "application/x-pem-file")


def _client(
    path: str, fn: Callable[..., Any], body: Body, text: str, *, attempt: str = "enroll", **more: Any
) -> Action:
    return Action(
        "POST", path, fn, "public", (CLIENT,), body, check_accept=False, summary=text, attempt=attempt, **more
    )


_METHOD = re.compile(r"(?:^|&)method=(?:ott|ottca|ca)(?:&|$)")


def _by_certificate(query: str) -> bool:
    """Whether no password is hashed and no token of somebody else's is looked at."""
    return _METHOD.search(query) is not None


ACTIONS = (
    _client("/enroll", enroll, GENERIC, "Enroll, any method", consumes=ANY_BODY, quick=_by_certificate),
    _client("/enroll/ott", enroll_ott, OTT, "Enroll by one-time token", quick=always),
    _client("/enroll/ottca", enroll_ottca, OTTCA, "Enroll by one-time token and certificate", quick=always),
    _client(
        "/enroll/ca", enroll_ca, CA, "Enroll by certificate", consumes=("text/plain", "application/json"), quick=always
    ),
    _client(
        "/enroll/updb",
        enroll_updb,
        UPDB,
        "Enroll by user name and password",
        query=(Param("token", "uuid", required=True),),
    ),
    _client("/enroll/erott", enroll_erott, EROTT, "Enroll a router"),
    _client("/enroll/extend/router", extend_router, EXTEND, "Renew a router's certificates", attempt="extend"),
    Action("GET", "/enroll/jwks", enrollment_jwks, "public", (CLIENT,), summary="The key that signs tokens"),
    _client("/enroll/challenge", challenge, CHALLENGE, "Prove possession of the signing key", attempt=""),
)
