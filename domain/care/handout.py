"""The enrollment token of an identity, router, CA or enrollment as such, for `Accept: application/jwt`.

Only tokens that still work are handed out; else the error says what to do. Source: our own, on upstream's paths.
"""

from __future__ import annotations

from domain import administrators, cas, enrollment
from domain.context import Context
from domain.logins import scopes
from models import Enrollment, Identity, Router
from wire.errors import ApiError, field_error, not_found
from wire.resource import now_ms, time_text

# Of several pending ones, the first of these.
ORDER = ("ott", "ottca", "updb", "erott", "trott")


def of_identity(ctx: Context, id: str) -> str:
    """The token of an identity; `?method=` picks one of several."""
    row: Identity | None = Identity.get_or_none(Identity.id == id)
    if row is None or (ctx.scope == scopes.ENROLL_SCOPE and administrators.is_protected(ctx, row)):
        raise not_found("identity", id)
    enrollment.guard_admin(ctx, row)
    wanted = ctx.query.get("method") or ""
    if wanted and wanted not in ORDER[:3]:
        raise field_error("method", f"method in query should be one of [{' '.join(ORDER[:3])}]", wanted)
    waiting = [e for e in Enrollment.select().where(Enrollment.identity == id) if wanted in ("", e.method)]
    if not waiting:
        what = f"no pending {wanted} token" if wanted else "no pending token"
        raise _none(f"identity '{row.name}' has {what}: POST /edge/management/v1/enrollments makes one")
    return _good(ctx, sorted(waiting, key=lambda e: ORDER.index(e.method)), f"identity '{row.name}'")


def of_router(ctx: Context, id: str) -> str:
    """The token of a router of any kind."""
    row: Router | None = Router.get_or_none(Router.id == id)
    if row is None:
        raise not_found("router", id)
    waiting = list(Enrollment.select().where(Enrollment.router == id))
    if not waiting:
        how = (
            f"POST /edge/management/v1/edge-routers/{id}/re-enroll makes one" if row.kind == "edge" else "make it anew"
        )
        raise _none(f"router '{row.name}' has no pending token: {how}")
    return _good(ctx, waiting, f"router '{row.name}'")


def of_enrollment(ctx: Context, id: str) -> str:
    """The token of one pending enrollment."""
    e: Enrollment | None = Enrollment.get_or_none(Enrollment.id == id)
    if e is None or (e.identity_id and administrators.is_protected(ctx, e.identity)):
        raise not_found("enrollment", id)
    return _good(ctx, [e], f"enrollment {id}")


def of_ca(ctx: Context, id: str) -> str:
    """The reusable token of a CA for automatic enrollment."""
    return cas.token(ctx, id)


def _none(text: str) -> ApiError:
    return ApiError("NOT_FOUND", text)


def _good(ctx: Context, waiting: list[Enrollment], whose: str) -> str:
    now = now_ms()
    good = next((e for e in waiting if e.expires_at > now), None)
    if good is not None:
        return enrollment.jwt_of(ctx, good)
    e = waiting[0]
    text = (
        f"the {e.method} token of {whose} expired at {time_text(e.expires_at)}: "
        f"POST /edge/management/v1/enrollments/{e.id}/refresh renews it"
    )
    raise ApiError("ENROLLMENT_EXPIRED", text, status=409)
