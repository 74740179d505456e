"""Authenticators: passwords and certificates of identities, and how certificates are renewed.

An administrator sees them all; `current-identity/authenticators` shows the caller's own only.
Source: /authenticators and /current-identity/authenticators, recorded answers of topics
`authenticators`, `authenticate`.
"""

from __future__ import annotations

from typing import Any

import pki
import store
from domain import cas, enrollment, ids, policies
from domain.care import blocked
from domain.context import Context
from domain.enrolling import spending
from domain.logins import auth, credentials
from models import ApiSession, Authenticator, Ca, Identity
from wire.errors import ApiError, field_error, invalid_field, not_found
from wire.resource import (
    BOOL,
    CLIENT,
    MANAGEMENT,
    TAGS,
    TIME,
    Action,
    Body,
    Field,
    Result,
    links,
    milliseconds,
    now_ms,
    parse_time,
)

BOTH = (MANAGEMENT, CLIENT)


def extend(ctx: Context, rows: list[Authenticator], docs: list[dict[str, Any]]) -> None:
    """Add the identity, and what only passwords or only certificates have."""
    wanted = {row.identity_id for row in rows}
    people = {i.id: i for i in Identity.select().where(Identity.id.in_(wanted))}
    for row, doc in zip(rows, docs, strict=True):
        doc["_links"]["identities"] = {"href": f"./identities/{row.identity_id}"}
        doc |= {"identity": auth.identity_reference(people[row.identity_id]), "identityId": row.identity_id}
        for name in [n for n, v in doc.items() if v is None]:
            del doc[name]


def extend_own(ctx: Context, rows: list[Authenticator], docs: list[dict[str, Any]]) -> None:
    """The same for the caller's own list, which has no link to /identities."""
    extend(ctx, rows, docs)
    for row, doc in zip(rows, docs, strict=True):
        doc["_links"] = links("current-identity/authenticators", row.id)


def own(ctx: Context) -> Any:
    """The condition for the caller's own authenticators."""
    return Authenticator.identity == ctx.me.id


def before_delete(ctx: Context, row: Authenticator) -> None:
    """The sessions that rest on it end with it."""
    enrollment.guard_admin(ctx, row.identity)
    auth.end_sessions(ApiSession.authenticator == row.id)


# --- by an administrator


def _get(key: str) -> Authenticator:
    row: Authenticator | None = Authenticator.get_or_none(Authenticator.id == key)
    if row is None:
        raise not_found("authenticator", key)
    return row


def create(ctx: Context) -> Result:
    """POST /authenticators: a password, or a certificate that a known CA validates, given as PEM."""
    body = ctx.body
    method = body["method"]
    if method not in ("updb", "cert"):
        raise field_error("method", "method must be updb or cert", method)
    identity = Identity.get_or_none(Identity.id == body["identityId"])
    if identity is None:
        raise not_found("identity", body["identityId"])
    enrollment.guard_admin(ctx, identity)
    wanted = ("username", "password") if method == "updb" else ("certPem",)
    for name in wanted:
        if not body.get(name):
            raise field_error(name, f"{name} is required", "")
    hashed = credentials.hash_password(ctx, body["password"]) if method == "updb" else ""
    with store.write():
        same = Authenticator.select().where(Authenticator.identity == identity.id, Authenticator.method == method)
        if same.exists():
            raise ApiError("MAX_AUTHENTICATOR_METHODS_REACHED")
        key = ids.long_id()
        if method == "updb":
            _add_password(identity, key, body["username"], hashed, body.get("tags", {}))
        else:
            _add_pem(ctx, identity, key, body["certPem"])
    return Result({"_links": links("authenticators", key), "id": key}, status=201)


def _add_password(identity: Identity, key: str, username: str, hashed: str, tags: dict[str, Any]) -> None:
    _check_free(username)
    now = now_ms()
    Authenticator.create(
        id=key,
        created_at=now,
        updated_at=now,
        tags=tags,
        identity=identity,
        method="updb",
        updb_username=username,
        updb_password=hashed,
    )


def _check_free(username: str, *, but: str = "") -> None:
    taken = Authenticator.get_or_none(Authenticator.updb_username == username)
    if taken is not None and taken.id != but:
        reason = f"duplicate value '{username}' in unique index on authenticators store"
        raise field_error("updbUsername", reason, username)


def _add_pem(ctx: Context, identity: Identity, key: str, pem: str) -> None:
    try:
        certs = pki.load_certs(pem)
    except pki.BadCertificate as e:
        raise field_error("certPem", str(e), pem) from None
    leaf = pki.find_leaf(certs)
    ca: Ca | None = None
    if not ctx.ctrl.authority.issued(leaf):
        ca = cas.validating(leaf, certs, cas.verified(), check_expiry=False)
        if ca is None:
            reason = f"certificate {leaf.subject} [{leaf.fingerprint}] did not verify against any known CA"
            raise field_error("certPem", reason, pem)
    spending.add_certificate(identity.id, leaf, pem, ca=ca, key=key)


def put(ctx: Context, id: str) -> Any:
    """PUT /authenticators/{id}: user name and password; without effect on a certificate, as recorded."""
    return _update(ctx, _get(id), ctx.body)


def patch(ctx: Context, id: str) -> Any:
    """PATCH /authenticators/{id}."""
    row = _get(id)
    if not ctx.body:
        raise ApiError("COULD_NOT_VALIDATE", "no fields updated, nothing to do")
    return _update(ctx, row, ctx.body)


def _update(ctx: Context, row: Authenticator, body: dict[str, Any]) -> Any:
    enrollment.guard_admin(ctx, row.identity)
    changes: dict[str, Any] = {"updated_at": now_ms()}
    if "tags" in body:
        changes["tags"] = body["tags"]
    if row.method == "updb" and body.get("password"):
        changes["updb_password"] = credentials.hash_password(ctx, body["password"])
    with store.write():
        if row.method == "updb" and body.get("username"):
            _check_free(body["username"], but=row.id)
            changes["updb_username"] = body["username"]
        Authenticator.update(changes).where(Authenticator.id == row.id).execute()
    return {}


def request_extend(ctx: Context, id: str) -> Any:
    """POST /authenticators/{id}/request-extend: the client is asked to renew, with new keys if wanted."""
    row = _get(id)
    if row.method != "cert":
        raise ApiError("UNAUTHORIZED", "authenticator is not a certificate authenticator")
    Authenticator.update(
        is_extend_requested=True,
        is_key_roll_requested=bool(ctx.body.get("rollKeys")),
        extend_requested_at=now_ms(),
        updated_at=now_ms(),
    ).where(Authenticator.id == id).execute()
    return {}


def re_enroll(ctx: Context, id: str) -> Result:
    """POST /authenticators/{id}/re-enroll: the authenticator and its sessions end; a new token is made."""
    ms = parse_time(ctx.body["expiresAt"])
    row = _get(id)
    enrollment.guard_admin(ctx, row.identity)
    if ms <= now_ms():
        raise invalid_field("expiresAt", enrollment.go_time(ms), "expiresAt must be in the future")
    method = "updb" if row.method == "updb" else "ott"
    spending.replace_authenticator(row.identity_id, row.method)
    enrollment.discard(row.identity_id, method)
    e = enrollment.add(ctx, method, identity=row.identity, username=row.updb_username, expires_at=ms)
    return Result({"_links": links("enrollments", e.id), "id": e.id}, status=201)


# --- by the identity itself


def _own(ctx: Context, key: str) -> Authenticator:
    row: Authenticator | None = Authenticator.get_or_none(Authenticator.id == key, own(ctx))
    if row is None:
        raise not_found("authenticator", key)
    return row


def change_own(ctx: Context, id: str) -> Any:
    """PUT or PATCH of one's own password; the present one must be given. Sessions stay, as recorded."""
    row = _own(ctx, id)
    if row.method != "updb":
        raise ApiError("CAN_NOT_UPDATE_AUTHENTICATOR")
    current = ctx.body["currentPassword"]
    if not credentials.password_matches(ctx, row.updb_password, current):
        raise ApiError(
            "UNAUTHORIZED", {"field": "currentPassword", "reason": "invalid current password", "value": current}
        )
    return _change(ctx, row)


def _change(ctx: Context, row: Authenticator) -> Any:
    body = ctx.body
    changes: dict[str, Any] = {"updated_at": now_ms()}
    if body.get("password"):
        policies.check_password(ctx.me.auth_policy, body["password"])
        changes["updb_password"] = credentials.hash_password(ctx, body["password"])
    if "tags" in body:
        changes["tags"] = body["tags"]
    with store.write():
        if body.get("username"):
            _check_free(body["username"], but=row.id)
            changes["updb_username"] = body["username"]
        Authenticator.update(changes).where(Authenticator.id == row.id).execute()
    return {}


def _renewable(ctx: Context, key: str) -> Authenticator:
    """The caller's certificate authenticator, when its certificate is on this very connection.

    Order as recorded: no certificate 401, unknown id 404, somebody else's 401, a password or a third-party
    certificate 409, another certificate 401.
    """
    if not ctx.peer:
        raise ApiError("UNAUTHORIZED", log="no client certificate was presented in the TLS handshake")
    if why := blocked.problem(ctx.peer):
        raise ApiError("UNAUTHORIZED", log=why)
    row: Authenticator | None = Authenticator.get_or_none(Authenticator.id == key)
    if row is None:
        raise ApiError("NOT_FOUND", log="the authenticator does not exist (any more)")
    if row.identity_id != ctx.me.id:
        raise ApiError("UNAUTHORIZED", log="the authenticator is another identity's")
    if row.method != "cert":
        raise ApiError("CAN_NOT_UPDATE_AUTHENTICATOR", "a password has no certificate to renew")
    if not row.is_issued_by_network:
        raise ApiError(
            "CAN_NOT_UPDATE_AUTHENTICATOR",
            "the certificate was issued by a third-party CA, so that CA must renew it",
        )
    return row


def _require_certificate(ctx: Context, row: Authenticator) -> None:
    if not ctx.peer or ctx.peer[0].fingerprint != row.cert_fingerprint:
        raise ApiError("UNAUTHORIZED", log="the authenticator's certificate was not presented")


def extend_certificate(ctx: Context, id: str) -> Any:
    """POST /current-identity/authenticators/{id}/extend: a new certificate; the old one works until it is verified."""
    ctx.attempt.method = "extend"
    row = _renewable(ctx, id)
    _require_certificate(ctx, row)
    csr = spending.read_csr(ctx.body["clientCertCsr"])
    authority = ctx.ctrl.authority
    cert = authority.issue_identity(csr, row.identity_id)
    pem = authority.chain_pem(cert)
    with store.write():
        Authenticator.update(
            unverified_cert_pem=pem, unverified_cert_fingerprint=cert.fingerprint, updated_at=now_ms()
        ).where(Authenticator.id == id).execute()
        ctx.attempt.certificate = cert
        ctx.attempt.succeeded(f"'{ctx.me.name}' got a new certificate, which it must still verify")
    return {"ca": authority.ca_pem(), "clientCert": pem}


def extend_verify(ctx: Context, id: str) -> Any:
    """POST …/extend-verify: the client has the new certificate; from now on only it works."""
    ctx.attempt.method = "extend-verify"
    row = _renewable(ctx, id)
    if not row.unverified_cert_fingerprint:
        raise ApiError("CAN_NOT_UPDATE_AUTHENTICATOR", log="no new certificate is waiting to be verified")
    _require_certificate(ctx, row)
    try:
        cert = pki.load_cert(ctx.body["clientCert"])
    except pki.BadCertificate as e:
        raise ApiError("INVALID_CLIENT_CERT", log=str(e)) from None
    if cert.fingerprint != row.unverified_cert_fingerprint:
        raise ApiError("INVALID_CLIENT_CERT", log="it is not the certificate that the extension returned")
    rolled = cert.public_key_print != row.public_key_print
    with store.write():
        switched = (
            Authenticator.update(
                cert_pem=row.unverified_cert_pem,
                cert_fingerprint=cert.fingerprint,
                public_key_print=cert.public_key_print,
                cert_expires_at=milliseconds(cert.not_after),
                unverified_cert_pem=None,
                unverified_cert_fingerprint=None,
                is_extend_requested=False,
                is_key_roll_requested=False,
                last_extend_rolled_keys=rolled,
                updated_at=now_ms(),
            )
            .where(Authenticator.id == id, Authenticator.unverified_cert_fingerprint == cert.fingerprint)
            .execute()
        )
        if switched != 1:
            raise ApiError("CAN_NOT_UPDATE_AUTHENTICATOR", log="the certificate was verified a moment ago")
        ctx.attempt.certificate = cert
        ctx.attempt.succeeded()
    return {}


CREATE = Body(
    "authenticator",
    "AuthenticatorCreate",
    (
        Field("method", required="c"),
        Field("identityId", required="c"),
        Field("username"),
        Field("password"),
        Field("certPem"),
        Field("tags", TAGS),
    ),
)
_USERNAME, _PASSWORD = Field("username", credentials.USERNAME), Field("password", credentials.PASSWORD)
UPDATE = Body(
    "authenticator",
    "AuthenticatorUpdate",
    (
        Field("username", credentials.USERNAME, required="c"),
        Field("password", credentials.PASSWORD, required="c"),
        Field("tags", TAGS),
    ),
)
PATCH = Body("authenticator", "AuthenticatorPatch", (_USERNAME, _PASSWORD, Field("tags", TAGS)))
_CURRENT = Field("currentPassword", credentials.PASSWORD, required="c")
OWN_UPDATE = Body("authenticator", "AuthenticatorUpdateWithCurrent", (*UPDATE.fields, _CURRENT))
OWN_PATCH = Body("authenticator", "AuthenticatorPatchWithCurrent", (*PATCH.fields, _CURRENT))
REQUEST_EXTEND = Body("requestExtendAuthenticator", "RequestExtendAuthenticator", (Field("rollKeys", BOOL),))
RE_ENROLL = Body("reEnroll", "ReEnroll", (Field("expiresAt", TIME, required="c"),))
EXTEND = Body("extend", "IdentityExtendEnrollmentRequest", (Field("clientCertCsr", required="c"),))
VERIFY = Body("extend", "IdentityExtendValidateEnrollmentRequest", (Field("clientCert", required="c"),))
_ITEM = "/authenticators/{id}"
_OWN = "/current-identity/authenticators/{id}"

ACTIONS = (
    Action("POST", "/authenticators", create, "identity.update", body=CREATE, creates=True),
    Action("PUT", _ITEM, put, "identity.update", body=UPDATE),
    Action("PATCH", _ITEM, patch, "identity.update", body=PATCH),
    Action("POST", f"{_ITEM}/request-extend", request_extend, "identity.update", body=REQUEST_EXTEND, write=True),
    Action("POST", f"{_ITEM}/re-enroll", re_enroll, "identity.update", body=RE_ENROLL, write=True),
    Action("PUT", _OWN, change_own, "session", BOTH, OWN_UPDATE),
    Action("PATCH", _OWN, change_own, "session", BOTH, OWN_PATCH),
    Action("POST", f"{_OWN}/extend", extend_certificate, "session", BOTH, EXTEND, attempt="extend"),
    Action("POST", f"{_OWN}/extend-verify", extend_verify, "session", BOTH, VERIFY, attempt="extend"),
)
