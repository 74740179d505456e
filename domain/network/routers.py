"""Routers of all kinds: edge, transit and plain, and the identity of a router with tunneler.

There is no control channel yet, so a router is never online here.
Source: /edge-routers, /transit-routers and /routers, recorded answers of topics `routers`, `transit_routers`.
"""

from __future__ import annotations

from typing import Any

from domain import enrollment, identities, roles
from domain.context import Context
from domain.enrolling import spending
from models import EdgeRouterPolicy, Enrollment, Identity, Router, Service, ServiceEdgeRouterPolicy
from wire.errors import ApiError, not_found
from wire.resource import CLIENT, NEVER, Action, Result, links, now_ms, time_text

_NO_VERSION = {"arch": "", "buildDate": "", "os": "", "revision": "", "version": ""}
_UNSEEN = {"interfaces": None, "isOnline": False, "unverifiedCertPem": None, "unverifiedFingerprint": None}
_OFFLINE = {
    "capabilities": None,
    "hostname": "",
    "supportedProtocols": {},
    "syncStatus": "SYNC_UNKNOWN",
    "versionInfo": _NO_VERSION,
}


def is_edge(ctx: Context) -> Any:
    """`/edge-routers` has edge routers only; the other two list them all, as recorded."""
    return Router.kind == "edge"


def before_edge_save(ctx: Context, row: Router | None, values: dict[str, Any]) -> None:
    if row is None:
        values["kind"] = "edge"


def before_transit_save(ctx: Context, row: Router | None, values: dict[str, Any]) -> None:
    if row is None:
        values["kind"] = "transit"
    elif row.kind == "edge":
        raise ApiError("CAN_NOT_UPDATE_ROUTER", f"'{row.name}' is an edge router: use /edge-routers")


def after_edge_save(ctx: Context, row: Router, changed: set[str]) -> None:
    """Keep attributes, memberships and the tunneler's identity; a new router gets its token."""
    if "role_attributes" in changed:
        roles.set_attributes("router", row.id, row.role_attributes)
    if changed & {"is_tunneler_enabled", "name"}:
        _set_tunneler(ctx, row)
    if ctx.method == "POST":
        enrollment.add(ctx, "erott", router=row)


def after_transit_save(ctx: Context, row: Router, changed: set[str]) -> None:
    if ctx.method == "POST":
        enrollment.add(ctx, "trott", router=row)


def after_fabric_save(ctx: Context, row: Router, changed: set[str]) -> None:
    """The fabric API changes edge routers as well; the tunneler's identity follows the name."""
    if row.kind == "edge" and "name" in changed:
        _set_tunneler(ctx, row)


def _set_tunneler(ctx: Context, row: Router) -> None:
    """A router with tunneler has an identity and a system policy with its own id."""
    exists = Identity.select().where(Identity.id == row.id).exists()
    if row.is_tunneler_enabled and not exists:
        _add_tunneler(row)
    elif row.is_tunneler_enabled:
        Identity.update(name=row.name, updated_at=now_ms()).where(Identity.id == row.id).execute()
    elif exists:
        _remove_tunneler(row.id)


def _add_tunneler(row: Router) -> None:
    now = now_ms()
    Identity.create(id=row.id, name=row.name, type="Router", created_at=now, updated_at=now)
    roles.set_attributes("identity", row.id, [])
    policy = EdgeRouterPolicy.create(
        id=row.id,
        name=f"edge-router-{row.id}-system",
        semantic="AnyOf",
        identity_roles=[f"@{row.id}"],
        edge_router_roles=[f"@{row.id}"],
        is_system=True,
        created_at=now,
        updated_at=now,
    )
    roles.policy_changed(EdgeRouterPolicy, policy)


def _remove_tunneler(key: str) -> None:
    roles.forget_policy(key)
    EdgeRouterPolicy.delete().where(EdgeRouterPolicy.id == key).execute()
    identities.forget(key)
    Identity.delete().where(Identity.id == key).execute()


def before_delete(ctx: Context, row: Router) -> None:
    """The tunneler's identity, its policy and the pending token go with the router."""
    roles.entity_deleted("router", row.id)
    if row.is_tunneler_enabled:
        _remove_tunneler(row.id)


# --- what a router shows


def _enrollments(rows: list[Router]) -> dict[str, Enrollment]:
    pending = Enrollment.select().where(Enrollment.router.in_([r.id for r in rows]))
    return {e.router_id: e for e in pending}


def _token(ctx: Context, e: Enrollment, created: str | None) -> dict[str, Any]:
    return {
        "enrollmentCreatedAt": created,
        "enrollmentExpiresAt": time_text(e.expires_at),
        "enrollmentJwt": enrollment.jwt_of(ctx, e),
        "enrollmentToken": e.token,
    }


def extend_edge(ctx: Context, rows: list[Router], docs: list[dict[str, Any]]) -> None:
    """Add the state of the connection, and the pending token."""
    pending = _enrollments(rows)
    for row, doc in zip(rows, docs, strict=True):
        doc.update({**_UNSEEN, **_OFFLINE, "certPem": row.cert_pem, "configs": row.configs or None})
        if row.fingerprint:
            doc["fingerprint"] = row.fingerprint
        if row.id in pending:
            doc.update(_token(ctx, pending[row.id], NEVER))


def extend_any(ctx: Context, rows: list[Router], docs: list[dict[str, Any]]) -> None:
    """Routers of all kinds in one list, edge routers with their token: for our own API."""
    pending = _enrollments(rows)
    for row, doc in zip(rows, docs, strict=True):
        doc.update({**_UNSEEN, "configs": row.configs or None, "fingerprint": row.fingerprint, "kind": row.kind})
        if row.id in pending:
            doc.update(_token(ctx, pending[row.id], time_text(pending[row.id].issued_at)))


def extend_transit(ctx: Context, rows: list[Router], docs: list[dict[str, Any]]) -> None:
    """The same for the lists of all routers, which show no token of edge routers."""
    pending = _enrollments([r for r in rows if r.kind != "edge"])
    for row, doc in zip(rows, docs, strict=True):
        doc.update({**_UNSEEN, "configs": row.configs or None, "fingerprint": row.fingerprint})
        if row.id in pending:
            e = pending[row.id]
            doc.update(_token(ctx, e, time_text(e.issued_at)))


# --- actions


def re_enroll(ctx: Context, id: str) -> Any:
    """POST /edge-routers/{id}/re-enroll: the certificate ends at once, one new token takes its place."""
    row = Router.get_or_none(Router.id == id, Router.kind == "edge")
    if row is None:
        raise not_found("router", id)
    start_over(ctx, row)
    return {}


def start_over(ctx: Context, row: Router, *, expires_at: int | None = None) -> None:
    """End a router's certificate and give it one new token. Needs a write transaction."""
    for e in Enrollment.select().where(Enrollment.router == row.id):
        spending.void(e, spending.RENEWED)
        e.delete_instance()
    Router.update(is_verified=False, fingerprint=None, cert_pem=None, cert_expires_at=None, updated_at=now_ms()).where(
        Router.id == row.id
    ).execute()
    enrollment.add(ctx, "erott" if row.kind == "edge" else "trott", router=row, expires_at=expires_at)


def _brief(router: Router) -> dict[str, Any]:
    """How clients see a router they may use."""
    return {
        "capabilities": None,
        "cost": router.cost,
        "disabled": router.disabled,
        "hostname": "",
        "isOnline": False,
        "name": router.name,
        "noTraversal": router.no_traversal,
        "supportedProtocols": {},
        "syncStatus": "SYNC_UNKNOWN",
    }


def online(identity: str, service: str) -> list[Router]:
    """The routers online that an identity may use for a service. None is: there is no control channel yet."""
    return []


def session_view(router: Router) -> dict[str, Any]:
    """How a service session shows a router."""
    return {**_brief(router), "urls": {}}


def my_edge_routers(ctx: Context) -> Result:
    """GET /current-identity/edge-routers: those online that the caller may use; none is online here."""
    limit, offset = int(ctx.query.get("limit") or 10), int(ctx.query.get("offset") or 0)
    pagination = {"limit": limit, "offset": offset, "totalCount": 0}
    return Result([], meta={"filterableFields": list(FILTERABLE), "pagination": pagination})


def of_service(ctx: Context, id: str) -> Any:
    """GET /services/{id}/edge-routers of the client API: routers that the caller may use for a service."""
    if not Service.select().where(Service.id == id, Service.id.in_(_mine(ctx))).exists():
        raise not_found("service", id)
    usable = Router.select().where(
        Router.id.in_(roles.reachable(EdgeRouterPolicy, "identity", ctx.me.id, "router")),
        Router.id.in_(roles.reachable(ServiceEdgeRouterPolicy, "service", id, "router")),
    )
    return {"edgeRouters": [_brief(r) for r in usable.order_by(Router.id)] or None}


def _mine(ctx: Context) -> Any:
    return roles.services_by("Dial", ctx.me.id) | roles.services_by("Bind", ctx.me.id)


FILTERABLE = (
    "configs",
    "connected",
    "cost",
    "createdAt",
    "ctrlChanListeners",
    "disabled",
    "fingerprint",
    "id",
    "isSystem",
    "isTunnelerEnabled",
    "isVerified",
    "name",
    "noTraversal",
    "online",
    "roleAttributes",
    "tags",
    "updatedAt",
)
ACTIONS = (
    Action("POST", "/edge-routers/{id}/re-enroll", re_enroll, "router.update", write=True, summary="A new token"),
    Action("GET", "/current-identity/edge-routers", my_edge_routers, "session", (CLIENT,)),
    Action("GET", "/services/{id}/edge-routers", of_service, "session", (CLIENT,)),
)
__all__ = ["ACTIONS", "links"]
