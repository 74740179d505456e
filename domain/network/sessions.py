"""Service sessions: leave to dial or bind one service within an API session.

Source: /sessions of both APIs, recorded answers of topics `client` and `api_sessions`; a network
without routers online: `standalone/variants/no_router.json`.
"""

from __future__ import annotations

from typing import Any

import store
from domain import identities, ids, roles
from domain.context import Context
from domain.network import posture, routers
from models import ApiSession, PolicyMember, Router, Service, ServicePolicy, Session
from wire.errors import ApiError, field_error, not_found
from wire.resource import CLIENT, MANAGEMENT, TAGS, Action, Body, Field, Result, enum, links, now_ms

TOKEN_SECONDS = 365 * 24 * 3600
KIND = enum("Dial", "Bind", "Invalid", go_type="rest_model.DialBind")


def create(ctx: Context) -> Result:
    """POST /sessions: the caller wants to dial or bind a service. Asking again gives the same session."""
    service, kind = _service(ctx, ctx.body.get("serviceId", "")), ctx.body.get("type", "Dial")
    policies = _granting(ctx, service, kind)
    if not policies:
        raise field_error("ServiceId", "service not found", service.id)
    _check_posture(ctx, service, kind, policies)
    usable = routers.online(ctx.me.id, service.id)
    if not usable:
        raise ApiError("NO_EDGE_ROUTERS_AVAILABLE")
    with store.write():
        session = _session(ctx, service, kind)
    return Result(_created(ctx, session, usable), status=201)


def _service(ctx: Context, key: str) -> Service:
    """The service, if the caller has any policy for it; else it is not there."""
    visible = roles.services_by("Dial", ctx.me.id) | roles.services_by("Bind", ctx.me.id)
    service: Service | None = Service.get_or_none(Service.id == key, Service.id.in_(visible))
    if service is None:
        raise not_found("service", key)
    return service


def _granting(ctx: Context, service: Service, kind: str) -> list[ServicePolicy]:
    query = ServicePolicy.select().where(
        ServicePolicy.id.in_(roles.service_policies_by(kind, ctx.me.id)),
        ServicePolicy.id.in_(roles.policies_of(ServicePolicy, "service", service.id)),
    )
    return list(query.order_by(ServicePolicy.id))


def _check_posture(ctx: Context, service: Service, kind: str, policies: list[ServicePolicy]) -> None:
    """At least one policy must have all its checks passing; the failure is kept for the administrator."""
    failing = posture.failures(policies, ctx.my_session)
    if failing is None:
        return
    with store.write():
        posture.note_failure(ctx, service, kind, policies, failing)
    shown = {p: [{"id": c.id, "isPassing": False, "typeId": c.type} for c in found] for p, found in failing.items()}
    message = f"Failed to pass posture checks for service policies: [{' '.join(failing)}]"
    raise ApiError("INVALID_POSTURE", {"data": shown, "message": message})


def _session(ctx: Context, service: Service, kind: str) -> Session:
    wanted = {"api_session": ctx.my_session.id, "service": service.id, "type": kind}
    now = now_ms()
    session: Session = Session.get_or_create(
        **wanted, defaults={"id": ids.session_id(), "created_at": now, "updated_at": now}
    )[0]
    return session


def _created(ctx: Context, session: Session, usable: list[Router]) -> dict[str, Any]:
    """The answer to a create; its dates and references are null, as recorded."""
    now = now_ms() // 1000
    claims = {
        "iss": ctx.ctrl.url,
        "sub": session.service_id,
        "aud": ["openziti"],
        "exp": now + TOKEN_SECONDS,
        "iat": now,
        "jti": session.id,
        "z_asid": ctx.my_session.id,
        "z_iid": ctx.me.id,
        "z_t": "s",
        "z_st": session.type,
        "z_leg": True,
    }
    return {
        "_links": None,
        "createdAt": None,
        "id": session.id,
        "updatedAt": None,
        "apiSession": None,
        "apiSessionId": ctx.my_session.id,
        "edgeRouters": [routers.session_view(r) for r in usable],
        "identityId": ctx.me.id,
        "service": None,
        "serviceId": session.service_id,
        "token": ctx.ctrl.signer.sign(claims),
        "type": session.type,
    }


# --- the row


def mine(ctx: Context) -> Any:
    """The condition for the sessions of the caller."""
    return Session.api_session.in_(ApiSession.select(ApiSession.id).where(ApiSession.identity == ctx.me.id))


def live(ctx: Context) -> Any:
    """The condition for sessions whose API session has not ended."""
    return Session.api_session.in_(ApiSession.select(ApiSession.id).where(ApiSession.expires_at > now_ms()))


def extend(ctx: Context, rows: list[Session], docs: list[dict[str, Any]]) -> None:
    """Add what a session hangs on: API session, service, routers, and the policies that grant it."""
    services = {s.id: s for s in Service.select().where(Service.id.in_({r.service_id for r in rows}))}
    for row, doc in zip(rows, docs, strict=True):
        key, owner = row.api_session_id, row.api_session.identity_id
        granting = _policies(owner, row)
        doc |= {
            "apiSession": {"_links": links("api-sessions", key, ("sessions",)), "entity": "api-sessions", "id": key},
            "apiSessionId": key,
            "edgeRouters": [routers.session_view(r) for r in routers.online(owner, row.service_id)],
            "identityId": owner,
            "service": identities.service_reference(services[row.service_id]),
            "serviceId": row.service_id,
            "servicePolicies": [_policy_reference(p) for p in granting],
            "token": row.id,
        }


def _policies(identity: str, row: Session) -> list[ServicePolicy]:
    granted = PolicyMember.select(PolicyMember.policy).where(
        PolicyMember.side == "service", PolicyMember.entity == row.service_id
    )
    query = ServicePolicy.select().where(
        ServicePolicy.id.in_(roles.service_policies_by(row.type, identity)), ServicePolicy.id.in_(granted)
    )
    return list(query.order_by(ServicePolicy.id))


def _policy_reference(policy: ServicePolicy) -> dict[str, Any]:
    return {
        "_links": links("service-policies", policy.id, ("identities", "posture-checks", "services")),
        "entity": "service-policies",
        "id": policy.id,
        "name": policy.name,
    }


def route_path(ctx: Context, id: str) -> Any:
    """GET /sessions/{id}/route-path: the routers in use; none are, also for an unknown session (recorded)."""
    return {"routePath": []}


WANTED = Body("session", "SessionCreate", (Field("serviceId"), Field("type", KIND), Field("tags", TAGS)))
ACTIONS = (
    Action("POST", "/sessions", create, "session", (CLIENT,), WANTED, summary="Ask to dial or bind a service"),
    Action("GET", "/sessions/{id}/route-path", route_path, "ops.read", (MANAGEMENT,), summary="Routers in use"),
)
