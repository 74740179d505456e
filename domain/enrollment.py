"""Enrollment: handing out one-time tokens, and spending them.

A token is spent by one conditional DELETE whose row count decides, in the transaction that writes what
the token buys; certificates are signed before it, so that the write lock is held only briefly.
Source: /enrollments of the management API, /enroll* of the client API, recorded answers of topics
`enrollments`, `enroll_ott`, `enroll_ottca`, `enroll_ca`, `enroll_updb`, `routers`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pki
import store
from domain import administrators, cas, ids, names, policies, roles
from domain.context import Context
from domain.controllers import own_entry
from domain.logins import auth, credentials
from models import ApiSession, Authenticator, Ca, Enrollment, Identity, Router
from prepared import Prepared, insert
from wire.errors import ApiError, field_error, invalid_field, not_found
from wire.resource import (
    CLIENT,
    TIME,
    Action,
    Body,
    Field,
    Kind,
    Param,
    Result,
    enum,
    links,
    milliseconds,
    now_ms,
    parse_time,
    time_text,
)

log = logging.getLogger("zitilite.enrollment")

ROUTER_METHODS = ("erott", "trott")


# --- tokens: making and showing them


def add(
    ctx: Context,
    method: str,
    *,
    identity: Identity | None = None,
    router: Router | None = None,
    ca: Ca | None = None,
    username: str | None = None,
    expires_at: int | None = None,
    key: str | None = None,
) -> Enrollment:
    """Write a pending enrollment. Needs a write transaction.

    Args:
        method: ott, ottca, updb, erott or trott.
        expires_at: milliseconds since the epoch; None takes the configured lifetime.
        key: the row's id; None makes a short one.
    """
    require_own_key(ctx)
    settings = ctx.ctrl.settings
    minutes = settings.router_enrollment_minutes if router is not None else settings.enrollment_minutes
    now = now_ms()
    e = Enrollment(
        id=key or ids.short_id(),
        created_at=now,
        updated_at=now,
        issued_at=now,
        method=method,
        token=ids.token(),
        expires_at=expires_at or now + minutes * 60_000,
        identity=identity,
        router=router,
        ca=ca,
        username=username,
    )
    return cast("Enrollment", insert(e))


def require_own_key(ctx: Context) -> None:
    """Refuse to hand out a token that no client could verify.

    Enrolling clients check the signature against the certificate served at the issuer's address. When
    that address is known to serve another key (a proxy, another controller), the token would be useless.
    """
    problem = ctx.ctrl.key_problem
    if problem:
        raise ApiError("ADVERTISED_KEY_MISMATCH", problem)


def jwt_of(ctx: Context, e: Enrollment) -> str:
    """The JWT of a pending enrollment, derived afresh from the row."""
    return ctx.ctrl.signer.enrollment(
        url=ctx.ctrl.url,
        method=e.method,
        token=e.token,
        subject=e.identity_id or e.router_id,
        expires_at=e.expires_at,
        ctrls=None,
    )


def summary(ctx: Context, e: Enrollment, ca: Ca | None) -> dict[str, Any]:
    """How an identity shows its pending enrollment."""
    doc: dict[str, Any] = {
        "expiresAt": time_text(e.expires_at),
        "id": e.id,
        "jwt": jwt_of(ctx, e),
        "token": e.token,
    }
    if ca is not None:
        doc |= {"ca": ca_reference(ca), "caId": ca.id}
    return doc


def ca_reference(ca: Ca) -> dict[str, Any]:
    """How other entities point at a CA."""
    return {"_links": links("cas", ca.id, ("jwt",)), "entity": "cas", "id": ca.id, "name": ca.name}


def usable_ca(key: str | None, missing: Callable[[], ApiError]) -> Ca:
    """The CA that an ottca enrollment names; it must be verified."""
    ca: Ca | None = Ca.get_or_none(Ca.id == key) if key else None
    if ca is None:
        raise missing()
    if not ca.is_verified:
        raise invalid_field("caId", key, f"ca '{ca.name}' is not verified, so nobody can enroll with it")
    return ca


# --- the row: list, create, refresh


def scope(ctx: Context) -> Any:
    """A token of an administrator's identity is the administrator: others do not see it."""
    if ctx.is_admin:
        return None
    admins = Identity.select(Identity.id).where(administrators.protected(ctx))
    return Enrollment.identity.is_null() | Enrollment.identity.not_in(admins)


def extend(ctx: Context, rows: list[Enrollment], docs: list[dict[str, Any]]) -> None:
    """Add the JWT and whom it is for."""
    people = _by_id(Identity, [r.identity_id for r in rows])
    routers = _by_id(Router, [r.router_id for r in rows])
    for row, doc in zip(rows, docs, strict=True):
        doc["jwt"] = jwt_of(ctx, row)
        if row.identity_id:
            doc |= {"identity": auth.identity_reference(people[row.identity_id]), "identityId": row.identity_id}
        if row.ca_id:
            doc["caId"] = row.ca_id
        if row.username:
            doc["username"] = row.username
        if row.router_id:
            router = routers[row.router_id]
            kind = "edgeRouter" if row.method == "erott" else "transitRouter"
            path = "edge-routers" if row.method == "erott" else "transit-routers"
            more = ("edge-router-policies",) if row.method == "erott" else ()
            doc[f"{kind}Id"] = row.router_id
            doc[kind] = {"_links": links(path, router.id, more), "entity": path, "id": router.id, "name": router.name}


def _by_id(model: Any, keys: list[str | None]) -> dict[str, Any]:
    wanted = [k for k in keys if k]
    return {row.id: row for row in model.select().where(model.id.in_(wanted))} if wanted else {}


def go_time(ms: int) -> str:
    """A time the way the API prints it inside a reason."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")


def future(text: str) -> int:
    """The expiry that a request asks for; it must lie ahead."""
    ms = parse_time(text)
    if ms <= now_ms():
        raise invalid_field("expiresAt", go_time(ms), "expiresAt must be in the future")
    return ms


def create(ctx: Context) -> Result:
    """POST /enrollments: a token for an identity that exists, with its expiry."""
    body = ctx.body
    method, key = body["method"], body["identityId"]
    expires = future(body["expiresAt"])
    identity = Identity.get_or_none(Identity.id == key)
    if identity is None:
        raise invalid_field("identityId", key, "identity not found")
    guard_admin(ctx, identity)
    ca = None
    if method == "ottca":
        ca = usable_ca(body.get("caId"), lambda: invalid_field("caId", body.get("caId"), "ca not found"))
    if method == "updb" and not body.get("username"):
        raise invalid_field("username", body.get("username"), "username not provided")
    if method == "updb":
        _check_login_name(body["username"])
    pending = Enrollment.get_or_none(Enrollment.identity == key, Enrollment.method == method)
    if pending is not None and pending.expires_at > now_ms():
        raise field_error("method", "enrollment of same method exists", method, code="ENROLLMENT_EXISTS", status=409)
    if pending is not None:
        pending.delete_instance()
    username = body.get("username") if method == "updb" else None
    e = add(ctx, method, identity=identity, ca=ca, username=username, expires_at=expires, key=ids.long_id())
    return Result({"_links": links("enrollments", e.id), "id": e.id}, status=201)


def _check_login_name(name: str) -> None:
    """Refuse a user name that no login would accept: its token would lead nowhere."""
    if not 4 <= len(name) <= 100:
        raise invalid_field("username", name, "a user name has 4 to 100 characters")


def guard_admin(ctx: Context, identity: Identity) -> None:
    """Only a full administrator may make tokens for an administrator: a token is a take-over."""
    if administrators.is_protected(ctx, identity):
        raise ApiError("UNAUTHORIZED", log=f"only an administrator may enroll the administrator '{identity.name}'")


def refresh(ctx: Context, id: str) -> Any:
    """POST /enrollments/{id}/refresh: a new token and expiry; the id stays, the old token is void."""
    ms = parse_time(ctx.body["expiresAt"])
    e = Enrollment.get_or_none(Enrollment.id == id)
    if e is None:
        raise ApiError("NOT_FOUND")
    if e.identity_id:
        guard_admin(ctx, e.identity)
    if ms <= now_ms():
        raise field_error("expiresAt", "must be after the current date and time", go_time(ms))
    require_own_key(ctx)
    now = now_ms()
    Enrollment.update(token=ids.token(), expires_at=ms, updated_at=now, issued_at=now).where(
        Enrollment.id == id
    ).execute()
    return {}


def discard(identity_id: str, method: str) -> None:
    """Delete a pending enrollment of this method; its token is void."""
    Enrollment.delete().where(Enrollment.identity == identity_id, Enrollment.method == method).execute()


def add_requested(ctx: Context, identity: Identity, wanted: dict[str, Any]) -> None:
    """Make the enrollments that a create of an identity asks for."""
    expires = future(wanted["expiresAt"]) if wanted.get("expiresAt") else None
    if wanted.get("ott"):
        add(ctx, "ott", identity=identity, expires_at=expires)
    if wanted.get("ottca"):
        key = wanted["ottca"]
        ca = usable_ca(key, lambda: field_error("caId", "ca not found", key, code="NOT_FOUND", status=404))
        add(ctx, "ottca", identity=identity, ca=ca, expires_at=expires)
    if wanted.get("updb"):
        _check_login_name(wanted["updb"])
        add(ctx, "updb", identity=identity, username=wanted["updb"], expires_at=expires)


# --- spending a token

_BY_TOKEN = Prepared(lambda token: Enrollment.select().where(Enrollment.token == token), Enrollment)
_SPEND = Prepared(
    lambda key, token, now: Enrollment.delete().where(
        Enrollment.id == key, Enrollment.token == token, Enrollment.expires_at > now
    )
)
_HELD = Prepared(
    lambda identity, method: Authenticator.select(Authenticator.id).where(
        Authenticator.identity == identity, Authenticator.method == method
    )
)


def pending(token: str | None, method: str) -> Enrollment:
    """The enrollment that a token stands for.

    Raises INVALID_ENROLLMENT_TOKEN for a used, unknown or missing one, INVALID_ENROLL_METHOD for one
    of another method, ENROLLMENT_EXPIRED.
    """
    e: Enrollment | None = _BY_TOKEN.first(token) if token else None
    if e is None:
        raise ApiError("INVALID_ENROLLMENT_TOKEN", log="the token is unknown, used or deleted")
    expected = ROUTER_METHODS if method == "erott" else (method,)
    if e.method not in expected:
        raise ApiError("INVALID_ENROLL_METHOD", log=f"the token is for {e.method}, not for {method}")
    if e.expires_at <= now_ms():
        raise ApiError("ENROLLMENT_EXPIRED", log=f"the token of enrollment {e.id} expired at {time_text(e.expires_at)}")
    return e


@contextmanager
def spending(e: Enrollment) -> Iterator[None]:
    """A write transaction that begins by spending the token. Whoever comes second is refused."""
    with store.write():
        if _SPEND.execute(e.id, e.token, now_ms()).rowcount != 1:
            raise ApiError("INVALID_ENROLLMENT_TOKEN", log="the token was spent a moment ago")
        yield


def read_csr(text: str | bytes | None) -> pki.Csr:
    """Parse a CSR. Raises COULD_NOT_PROCESS_CSR with the reason."""
    try:
        return pki.load_csr(text or "")
    except pki.BadCsr as e:
        raise ApiError("COULD_NOT_PROCESS_CSR", str(e)) from None


def add_certificate(
    identity_id: str, cert: pki.Cert, pem: str, *, ca: Ca | None = None, key: str | None = None
) -> Authenticator:
    """Write the certificate authenticator of an identity, in place of one it may have.

    Needs a write transaction. Raises CERT_IN_USE when another identity has this certificate.
    """
    replace_authenticator(identity_id, "cert")
    now = now_ms()
    a = Authenticator(
        id=key or ids.short_id(),
        created_at=now,
        updated_at=now,
        identity=identity_id,
        method="cert",
        cert_pem=pem,
        cert_fingerprint=cert.fingerprint,
        public_key_print=cert.public_key_print,
        cert_expires_at=milliseconds(cert.not_after),
        is_issued_by_network=ca is None,
        ca=ca,
    )
    try:
        return cast("Authenticator", insert(a))
    except store.IntegrityError:
        raise cert_in_use(cert) from None


def cert_in_use(cert: pki.Cert) -> ApiError:
    """The certificate is another identity's."""
    return ApiError("CERT_IN_USE", {"data": {"fingerprint": cert.fingerprint}})


def replace_authenticator(identity_id: str, method: str) -> None:
    """Remove the identity's authenticator of one method, and the sessions made with it."""
    for (old,) in _HELD.all(identity_id, method):
        ApiSession.delete().where(ApiSession.authenticator == old).execute()
        Authenticator.delete().where(Authenticator.id == old).execute()


def ott(ctx: Context, token: str | None, csr_text: str | bytes | None) -> dict[str, Any]:
    """One-time token: our CA signs the client's CSR."""
    e = pending(token, "ott")
    csr = read_csr(csr_text)
    cert = ctx.ctrl.authority.issue_identity(csr, e.identity_id)
    pem = ctx.ctrl.authority.chain_pem(cert)
    with spending(e):
        add_certificate(e.identity_id, cert, pem)
    log.info("identity %s enrolled by ott, certificate %s", e.identity_id, cert.fingerprint)
    return {"controllers": [own_entry(ctx)], "cert": pem}


def ottca(ctx: Context, token: str | None) -> dict[str, Any]:
    """One-time token with a certificate of a third-party CA, which the client presents over TLS."""
    e = pending(token, "ottca")
    ca: Ca = e.ca
    if not ca.is_verified:
        raise ApiError("ENROLLMENT_CA_NOT_VALID", f"ca '{ca.name}' is not verified")
    if not ca.is_ott_ca_enrollment_enabled:
        raise ApiError("ENROLLMENT_CA_NOT_VALID", f"ca '{ca.name}' has pre-created enrollment (ottca) switched off")
    leaf = _client_certificate(ctx, "CERTIFICATE_FAILED_VALIDATION")
    why = cas.problem(leaf, ctx.peer[1:], ca)
    if why:
        raise ApiError("CERTIFICATE_FAILED_VALIDATION", why)
    with spending(e):
        add_certificate(e.identity_id, leaf, "".join(c.pem for c in ctx.peer), ca=ca)
    log.info("identity %s enrolled by ottca with ca %s, certificate %s", e.identity_id, ca.id, leaf.fingerprint)
    return {"controllers": [own_entry(ctx)]}


def _client_certificate(ctx: Context, code: str) -> pki.Cert:
    if not ctx.peer:
        raise ApiError(code, "no client certificate was presented in the TLS handshake")
    return ctx.peer[0]


def ca_auto(ctx: Context, requested_name: str | None) -> dict[str, Any]:
    """Automatic enrollment: a verified CA's certificate makes its identity."""
    leaf = _client_certificate(ctx, "CERT_FAILED_VALIDATION")
    ca = cas.validating(leaf, ctx.peer[1:], cas.verified(auto=True))
    if ca is None:
        raise ApiError("CERT_FAILED_VALIDATION", _why_no_ca(leaf, ctx.peer[1:]))
    claim = cas.external_id(ca, leaf)
    if ca.external_id_claim and not claim:
        place = ca.external_id_claim["location"]
        raise ApiError("MISSING_CERT_CLAIM", log=f"ca '{ca.name}' looks for it in {place}; {leaf.subject} has none")
    key = ids.short_id()
    wanted = names.of_auto_identity(ca, leaf, key, requested_name)
    attributes = sorted({r.lstrip("#") for r in ca.identity_roles} - {""})
    with store.write():
        if Authenticator.select().where(Authenticator.cert_fingerprint == leaf.fingerprint).exists():
            raise ApiError("CERT_IN_USE", log=leaf.fingerprint)
        _add_auto_identity(key, names.free(wanted), attributes, claim, ca)
        if not claim:
            add_certificate(key, leaf, "".join(c.pem for c in ctx.peer), ca=ca)
    log.info("identity %s made by ca %s, certificate %s", key, ca.id, leaf.fingerprint)
    return {}


def _add_auto_identity(key: str, name: str, attributes: list[str], claim: str | None, ca: Ca) -> None:
    if claim and Identity.select().where(Identity.external_id == claim).exists():
        reason = f"duplicate value '{claim}' in unique index on identities store"
        raise field_error("externalId", reason, claim)
    now = now_ms()
    insert(
        Identity(
            id=key, name=name, external_id=claim, role_attributes=attributes, ca=ca.id, created_at=now, updated_at=now
        )
    )
    roles.set_attributes("identity", key, attributes)


def _why_no_ca(leaf: pki.Cert, chain: tuple[pki.Cert, ...]) -> str:
    """Why no CA enrolls this certificate, said for the CA that comes closest."""
    shown = f"certificate {leaf.subject}"
    for ca in Ca.select():
        why = cas.problem(leaf, chain, ca)
        if why is not None:
            continue
        if not ca.is_verified:
            return f"{shown} chains to CA '{ca.name}', but that is not verified"
        return f"{shown} chains to CA '{ca.name}', but that has automatic enrollment switched off"
    named = Ca.select().where(Ca.is_verified, Ca.is_auto_ca_enrollment_enabled)
    for ca in named:
        if cas.issuing_cert(ca.cert_pem).subject == leaf.issuer:
            return str(cas.problem(leaf, chain, ca))
    return f"{shown} is issued by {leaf.issuer}, which no verified CA with automatic enrollment stands for"


def updb(ctx: Context, token: str | None, password: str | None) -> dict[str, Any]:
    """User name now, password at enrollment. The enrollment's user name counts, not the request's."""
    e = pending(token, "updb")
    if not password:
        raise field_error("password", "password is required", "")
    if len(password) < 5:
        raise field_error("password", "password in body should be at least 5 chars long", password)
    if len(password) > 100:
        raise field_error("password", "password in body should be at most 100 chars long", password)
    policies.check_password(e.identity.auth_policy, password)
    hashed = credentials.hash_password(ctx, password)
    now = now_ms()
    with spending(e):
        replace_authenticator(e.identity_id, "updb")
        if Authenticator.select().where(Authenticator.updb_username == e.username).exists():
            reason = f"duplicate value '{e.username}' in unique index on authenticators store"
            raise field_error("username", reason, e.username)
        Authenticator.create(
            id=ids.short_id(),
            created_at=now,
            updated_at=now,
            identity=e.identity_id,
            method="updb",
            updb_username=e.username,
            updb_password=hashed,
        )
    log.info("identity %s enrolled by updb", e.identity_id)
    return {"controllers": [own_entry(ctx)], "username": e.username}


def erott(ctx: Context, token: str | None, client: str | None, server: str | None) -> dict[str, Any]:
    """Routers: our CA signs a client and a server certificate."""
    e = pending(token, "erott")
    if not server:
        raise ApiError("MISSING_OR_INVALID_CSR", "invalid server CSR")
    if not client:
        raise ApiError("MISSING_OR_INVALID_CSR", "invalid client CSR")
    client_csr = _router_csr(client, "client")
    server_csr = _router_csr(server, "server")
    try:
        cert, server_cert = ctx.ctrl.authority.issue_router(client_csr, server_csr, e.router_id)
    except pki.BadCsr as problem:
        raise ApiError("COULD_NOT_PROCESS_CSR", "invalid client CSR", log=str(problem)) from None
    authority = ctx.ctrl.authority
    pem = authority.chain_pem(cert)
    with spending(e):
        set_router_certificate(e.router_id, cert, pem)
    log.info("router %s enrolled, certificate %s", e.router_id, cert.fingerprint)
    return {"ca": authority.ca_pem(), "cert": pem, "serverCert": authority.chain_pem(server_cert)}


def _router_csr(text: str, which: str) -> pki.Csr:
    try:
        return pki.load_csr(text)
    except pki.BadCsr as problem:
        raise ApiError("COULD_NOT_PROCESS_CSR", f"invalid {which} CSR", log=str(problem)) from None


def set_router_certificate(key: str, cert: pki.Cert, pem: str) -> None:
    """Write a router's new certificate. Needs a write transaction."""
    now = now_ms()
    Router.update(
        last_seen_at=now,
        is_verified=True,
        fingerprint=cert.fingerprint,
        cert_pem=pem,
        cert_expires_at=milliseconds(cert.not_after),
        updated_at=now,
    ).where(Router.id == key).execute()


# --- the client API


def enroll(ctx: Context) -> Result:
    """POST /enroll?method=…&token=…: the form that real clients use, for every method."""
    method = ctx.query.get("method") or ""
    token = ctx.query.get("token")
    is_json = isinstance(ctx.body, dict)
    body: dict[str, Any] = ctx.body if is_json else {}
    if is_json and ctx.raw and token and not _looks_like_uuid(token):
        raise field_error("token", f'token in query must be of type uuid: "{token}"', token, status=601)
    match method:
        case "" | "ott":
            if not (is_json and ctx.raw):
                _require_json_accepted(ctx)
            answer = ott(ctx, token, body.get("clientCsr") if is_json and ctx.raw else ctx.raw)
            if not method:
                del answer["controllers"]
        case "ottca":
            answer = ottca(ctx, token)
        case "ca":
            answer = ca_auto(ctx, body.get("name"))
        case "updb":
            answer = updb(ctx, token, body.get("password"))
        case "erott" | "trott":
            answer = erott(ctx, token, body.get("certCsr"), body.get("serverCertCsr"))
        case _:
            raise ApiError("INVALID_ENROLL_METHOD", log=f"method {method[:20]!r} is unknown")
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
    return ott(ctx, ctx.body.get("token"), ctx.body.get("clientCsr"))


def enroll_ottca(ctx: Context) -> Any:
    """POST /enroll/ottca."""
    return ottca(ctx, ctx.body.get("token"))


def enroll_ca(ctx: Context) -> Any:
    """POST /enroll/ca."""
    return ca_auto(ctx, ctx.body.get("name") if isinstance(ctx.body, dict) else None)


def enroll_updb(ctx: Context) -> Any:
    """POST /enroll/updb?token=…."""
    return updb(ctx, ctx.query["token"], ctx.body.get("password"))


def enroll_erott(ctx: Context) -> Any:
    """POST /enroll/erott: both spellings of the CSRs' names are understood."""
    body = ctx.body
    return erott(
        ctx,
        body.get("token"),
        body.get("clientCsr") or body.get("certCsr"),
        body.get("serverCsr") or body.get("serverCertCsr"),
    )


def extend_router(ctx: Context) -> Any:
    """POST /enroll/extend/router: an enrolled router renews both certificates; the old one ends at once."""
    leaf = ctx.peer[0] if ctx.peer else None
    router = Router.get_or_none(Router.fingerprint == leaf.fingerprint) if leaf else None
    if leaf is None or router is None or not ctx.ctrl.authority.issued(leaf):
        raise ApiError("UNAUTHORIZED", log="no enrolled router presented its certificate")
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
        set_router_certificate(router.id, cert, cert.pem)
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


METHODS = enum("ott", "ottca", "updb")
CREATE = Body(
    "enrollment",
    "EnrollmentCreate",
    (
        Field("method", METHODS, required="c"),
        Field("identityId", required="c"),
        Field("expiresAt", TIME, required="c"),
        Field("caId"),
        Field("username"),
    ),
)
REFRESH = Body("refresh", "EnrollmentRefresh", (Field("expiresAt", TIME, required="c"),))
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


def _client(path: str, fn: Callable[..., Any], body: Body, text: str, **more: Any) -> Action:
    return Action("POST", path, fn, "public", (CLIENT,), body, check_accept=False, summary=text, **more)


ACTIONS = (
    Action("POST", "/enrollments", create, "enrollment.create", body=CREATE, write=True, summary="Make a token"),
    Action(
        "POST",
        "/enrollments/{id}/refresh",
        refresh,
        "enrollment.update",
        body=REFRESH,
        write=True,
        summary="A new token for a pending enrollment",
    ),
    _client("/enroll", enroll, GENERIC, "Enroll, any method", consumes=ANY_BODY),
    _client("/enroll/ott", enroll_ott, OTT, "Enroll by one-time token"),
    _client("/enroll/ottca", enroll_ottca, OTTCA, "Enroll by one-time token and certificate"),
    _client("/enroll/ca", enroll_ca, CA, "Enroll by certificate", consumes=("text/plain", "application/json")),
    _client(
        "/enroll/updb",
        enroll_updb,
        UPDB,
        "Enroll by user name and password",
        query=(Param("token", "uuid", required=True),),
    ),
    _client("/enroll/erott", enroll_erott, EROTT, "Enroll a router"),
    _client("/enroll/extend/router", extend_router, EXTEND, "Renew a router's certificates"),
    Action("GET", "/enroll/jwks", enrollment_jwks, "public", (CLIENT,), summary="The key that signs tokens"),
    _client("/enroll/challenge", challenge, CHALLENGE, "Prove possession of the signing key"),
)
__all__ = ["ACTIONS", "not_found"]
