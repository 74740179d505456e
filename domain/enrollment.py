"""Pending enrollments: handing out one-time tokens, showing and renewing them.

What a token buys is in `domain.enrolling`. Source: /enrollments of the management API, recorded answers of
topics `enrollments`, `routers`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from domain import administrators, chosen, ids
from domain.context import Context
from domain.enrolling import spending
from domain.logins import auth
from models import Ca, Enrollment, Identity, Router
from prepared import insert
from wire.errors import ApiError, field_error, invalid_field
from wire.resource import (
    TIME,
    Action,
    Body,
    Field,
    Result,
    enum,
    links,
    now_ms,
    parse_time,
    time_text,
)

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
    name = "router_enrollment_minutes" if router is not None else "enrollment_minutes"
    minutes = chosen.value(ctx.ctrl.settings, name)
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
        spending.void(pending, spending.RENEWED)
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
    spending.void(e, spending.RENEWED)
    Enrollment.update(token=ids.token(), expires_at=ms, updated_at=now, issued_at=now).where(
        Enrollment.id == id
    ).execute()
    return {}


def discard(identity_id: str, method: str) -> None:
    """Delete a pending enrollment of this method; its token is void."""
    for e in Enrollment.select().where(Enrollment.identity == identity_id, Enrollment.method == method):
        spending.void(e, spending.RENEWED)
    Enrollment.delete().where(Enrollment.identity == identity_id, Enrollment.method == method).execute()


def before_delete(ctx: Context, row: Enrollment) -> None:
    """The log of attempts can then say what became of the token."""
    spending.void(row, spending.REVOKED)


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

ACTIONS = (
    Action(
        "POST",
        "/enrollments",
        create,
        "enrollment.create",
        body=CREATE,
        write=True,
        summary="Make a token",
        creates=True,
    ),
    Action(
        "POST",
        "/enrollments/{id}/refresh",
        refresh,
        "enrollment.update",
        body=REFRESH,
        write=True,
        summary="A new token for a pending enrollment",
    ),
)
