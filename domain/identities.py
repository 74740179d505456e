"""Identities: the rules of the row, disabling, what hangs on them, and the caller's own view.

Source: /identities and /current-identity, recorded answers of topics `identities`, `authenticate`.
"""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import Any

import compact
from domain import administrators, enrollment, roles
from domain.context import Context
from domain.logins import auth, credentials
from models import (
    ApiSession,
    Authenticator,
    AuthPolicy,
    Ca,
    Config,
    EdgeRouterPolicy,
    Enrollment,
    Identity,
    IdentityServiceConfig,
    Mfa,
    Revocation,
    Router,
    Service,
    ServiceEdgeRouterPolicy,
)
from prepared import Prepared, by_id, constant, members
from wire.errors import ApiError, field_error, not_found
from wire.resource import (
    BOOL,
    CLIENT,
    INT,
    MANAGEMENT,
    STRINGS,
    TEXT,
    Action,
    Body,
    Field,
    Result,
    links,
    now_ms,
    time_text,
)

TYPES = ("User", "Device", "Service", "Router", "Default")


# --- rules of the row


def before_save(ctx: Context, row: Identity | None, values: dict[str, Any]) -> None:
    """Check references and who may do this; fill in what a new identity starts with."""
    _guard_admins(ctx, row, values)
    if "auth_policy" in values:
        values["auth_policy"] = values["auth_policy"] or "default"
        if by_id(AuthPolicy).first(values["auth_policy"]) is None:
            raise not_found("authPolicy", values["auth_policy"])
    if row is None:
        values["type"] = "Default"
    if "permissions" in values:
        values["permissions"] = sorted(set(values["permissions"]))
    _check_services(values)


def _guard_admins(ctx: Context, row: Identity | None, values: dict[str, Any]) -> None:
    """Whoever is not a full administrator can neither make nor touch one, nor hand out permissions."""
    if ctx.is_admin:
        return
    raises = values.get("is_admin") or values.get("permissions")
    touches = row is not None and (row.is_admin or row.is_default_admin)
    if raises or touches:
        raise ApiError("UNAUTHORIZED", log="only an administrator may change administrators and permissions")


def _check_services(values: dict[str, Any]) -> None:
    named = {*values.get("service_hosting_costs", {}), *values.get("service_hosting_precedences", {})}
    if not named:
        return
    known = {s.id for s in Service.select(Service.id).where(Service.id.in_(sorted(named)))}
    unknown = sorted(named - known)
    if unknown:
        raise not_found("services", unknown[0])


def after_save(ctx: Context, row: Identity, changed: set[str]) -> None:
    """Keep attributes and memberships; make the enrollments that a create asks for."""
    if "role_attributes" in changed:
        roles.set_attributes("identity", row.id, row.role_attributes)
        roles.touch()
    if ctx.method == "POST" and ctx.body.get("enrollment"):
        enrollment.add_requested(ctx, row, ctx.body["enrollment"])


def before_delete(ctx: Context, row: Identity) -> None:
    """Sessions, authenticators and enrollments go with the identity; a revocation of its id stays."""
    if row.is_default_admin:
        raise ApiError("ENTITY_CAN_NOT_BE_DELETED")
    _guard_admins(ctx, row, {})
    if row.type == "Router" and Router.select().where(Router.id == row.id).exists():
        raise ApiError("ENTITY_CAN_NOT_BE_DELETED", "it belongs to a router with tunneler and goes with it")
    forget(row.id)


def forget(key: str) -> None:
    """Take an identity out of every policy and note that its tokens are void."""
    roles.entity_deleted("identity", key)
    now = now_ms()
    Revocation.replace(
        id=key, type="IDENTITY", created_at=now, updated_at=now, expires_at=now + 86_400_000, tags={}, is_system=False
    ).execute()


# --- what an identity shows


def extend(ctx: Context, rows: list[Identity], docs: list[dict[str, Any]]) -> None:
    """Add what hangs on the identities, with one query for each sort of thing."""
    keys = compact.text([row.id for row in rows])
    policies = _policy_names(rows)
    authenticators = _authenticators(keys)
    pending = _pending(ctx, rows)
    live, protected = _signed_in(keys)
    for row, doc in zip(rows, docs, strict=True):
        policy = row.auth_policy_id
        doc["_links"]["auth-policies"] = {"href": f"./auth-policies/{policy}"}
        doc |= {
            "authPolicy": {
                "_links": links("auth-policies", policy),
                "entity": "auth-policies",
                "id": policy,
                "name": policies[policy],
            },
            "authPolicyId": policy,
            "authenticators": authenticators.get(row.id, {}),
            "disabled": credentials.is_disabled(row),
            "edgeRouterConnectionStatus": "offline",
            "enrollment": pending.get(row.id, {}),
            "hasApiSession": row.id in live,
            "hasEdgeRouterConnection": False,
            "interfaces": None,
            "isMfaEnabled": row.id in protected,
            "type": type_reference(row.type),
            "typeId": row.type,
        }
        if doc["disabled"]:
            doc["disabledAt"] = time_text(row.disabled_at)
            if row.disabled_until is not None:
                doc["disabledUntil"] = time_text(row.disabled_until)


def type_reference(name: str) -> dict[str, Any]:
    """How an identity points at its type."""
    return {"_links": links("identity-types", name), "entity": "identity-types", "id": name, "name": name}


_POLICY_NAMES = Prepared(
    lambda keys: AuthPolicy.select(AuthPolicy.id, AuthPolicy.name).where(AuthPolicy.id.in_(members(keys)))
)
_AUTHENTICATORS = Prepared(
    lambda keys: Authenticator.select(
        Authenticator.id,
        Authenticator.identity,
        Authenticator.method,
        Authenticator.cert_fingerprint,
        Authenticator.updb_username,
    ).where(Authenticator.identity.in_(members(keys)))
)
_PENDING = Prepared(lambda keys: Enrollment.select().where(Enrollment.identity.in_(members(keys))), Enrollment)
_SIGNED_IN = Prepared(
    lambda keys, now: (
        ApiSession.select(ApiSession.identity, constant(0))
        .where(ApiSession.identity.in_(members(keys)), ApiSession.expires_at > now)
        .union_all(Mfa.select(Mfa.identity, constant(1)).where(Mfa.identity.in_(members(keys)), Mfa.is_verified))
    )
)


def _policy_names(rows: list[Identity]) -> dict[str, str]:
    return dict(_POLICY_NAMES.all(compact.text(sorted({row.auth_policy_id for row in rows}))))


def _authenticators(keys: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for key, identity, method, fingerprint, username in _AUTHENTICATORS.all(keys):
        shown = {"fingerprint": fingerprint} if method == "cert" else {"username": username}
        found.setdefault(identity, {})[method] = {**shown, "id": key}
    return found


def _pending(ctx: Context, rows: list[Identity]) -> dict[str, dict[str, Any]]:
    """Pending enrollments by identity; a token of an administrator is shown to administrators only."""
    visible = [r.id for r in rows if not administrators.is_protected(ctx, r)]
    pending: list[Enrollment] = _PENDING.all(compact.text(visible))
    wanted = {e.ca_id for e in pending if e.ca_id}
    cas = {ca.id: ca for ca in Ca.select().where(Ca.id.in_(wanted))} if wanted else {}
    found: dict[str, dict[str, Any]] = {}
    for e in pending:
        found.setdefault(e.identity_id, {})[e.method] = enrollment.summary(ctx, e, cas.get(e.ca_id))
    return found


def _signed_in(keys: str) -> tuple[set[str], set[str]]:
    """Which identities have a session, and which a verified second factor."""
    found: tuple[set[str], set[str]] = (set(), set())
    for identity, which in _SIGNED_IN.all(keys, now_ms()):
        found[which].add(identity)
    return found


# --- actions


def _get(key: str) -> Identity:
    row: Identity | None = Identity.get_or_none(Identity.id == key)
    if row is None:
        raise not_found("identity", key)
    return row


def disable(ctx: Context, id: str) -> Result:
    """POST /identities/{id}/disable: no login and no session, for so many minutes (0: until enabled)."""
    row = _get(id)
    _guard_admins(ctx, row, {})
    minutes = min(ctx.body["durationMinutes"], 10_000_000)
    now = now_ms()
    until = now + minutes * 60_000 if minutes > 0 else None
    Identity.update(disabled_at=now, disabled_until=until, updated_at=now).where(Identity.id == id).execute()
    auth.end_sessions(ApiSession.identity == id)
    return Result(raw=b"")


def enable(ctx: Context, id: str) -> Any:
    """POST /identities/{id}/enable: ends a disablement and a lockout."""
    row = _get(id)
    _guard_admins(ctx, row, {})
    Identity.update(disabled_at=None, disabled_until=None, failed_logins=0, updated_at=now_ms()).where(
        Identity.id == id
    ).execute()
    return {}


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}


def duration_ms(text: str) -> int:
    """Milliseconds of a duration such as `1h30m` or `10s`. Raises the API's error for `duration`."""
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise field_error("duration", f'time: invalid duration "{text}"', text)
    return sum(int(timedelta(**{_UNITS[u]: min(float(n), 1e6)}) / timedelta(milliseconds=1)) for n, u in parts)


def trace(ctx: Context, id: str) -> Result:
    """PUT /identities/{id}/trace: acknowledged; there is no data path here to trace."""
    _get(id)
    body = ctx.body
    if not body.get("enabled"):
        return Result({"enabled": False, "traceId": body.get("traceId", ""), "until": None}, meta=None)
    until = now_ms() + duration_ms(body.get("duration") or "0s")
    shown = body.get("traceId") or secrets.token_hex(8)
    return Result({"enabled": True, "traceId": shown, "until": time_text(until)}, meta=None)


def policy_advice(ctx: Context, id: str, serviceId: str) -> Result:  # noqa: N803 - as in the path
    """GET /identities/{id}/policy-advice/{serviceId}: may this identity use that service, and over which routers."""
    identity = _get(id)
    service = Service.get_or_none(Service.id == serviceId)
    if service is None:
        raise not_found("service", serviceId)
    mine = _router_ids(roles.reachable(EdgeRouterPolicy, "identity", id, "router"))
    its = _router_ids(roles.reachable(ServiceEdgeRouterPolicy, "service", serviceId, "router"))
    common = Router.select().where(Router.id.in_(sorted(mine & its))).order_by(Router.id)
    doc: dict[str, Any] = {
        "commonRouters": [_router_advice(r) for r in common] or None,
        "identity": auth.identity_reference(identity),
        "identityId": id,
        "service": service_reference(service),
        "serviceId": serviceId,
    }
    counts = {"identityRouterCount": len(mine), "serviceRouterCount": len(its)}
    doc |= {name: count for name, count in counts.items() if count}
    for name, kind in (("isDialAllowed", "Dial"), ("isBindAllowed", "Bind")):
        if Service.select().where(Service.id == serviceId, Service.id.in_(roles.services_by(kind, id))).exists():
            doc[name] = True
    return Result(doc, meta=None)


def _router_ids(subquery: Any) -> set[str]:
    return {key for (key,) in subquery.distinct().tuples()}


def _router_advice(router: Router) -> dict[str, Any]:
    return {
        "_links": links("edge-routers", router.id, ("edge-router-policies",)),
        "entity": "edge-routers",
        "id": router.id,
        "name": router.name,
        "isOnline": False,
    }


SERVICE_LINKS = ("configs", "service-edge-router-policies", "service-policies", "terminators")


def service_reference(service: Service) -> dict[str, Any]:
    """How other entities point at a service."""
    return {
        "_links": links("services", service.id, SERVICE_LINKS),
        "entity": "services",
        "id": service.id,
        "name": service.name,
    }


# --- service configs of one identity


def service_configs(ctx: Context, id: str) -> Result:
    """GET /identities/{id}/service-configs."""
    _get(id)
    c = IdentityServiceConfig
    rows = list(c.select(c, Service, Config).join(Service).switch(c).join(Config).where(c.identity == id))
    data = [
        {
            "config": {
                "_links": links("configs", r.config_id),
                "entity": "configs",
                "id": r.config_id,
                "name": r.config.name,
            },
            "configId": r.config_id,
            "service": service_reference(r.service),
            "serviceId": r.service_id,
        }
        for r in rows
    ]
    return Result(data, meta={"pagination": {"limit": len(data), "offset": 0, "totalCount": len(data)}})


def assign_service_configs(ctx: Context, id: str) -> Any:
    """POST /identities/{id}/service-configs: this identity gets that config for that service."""
    _get(id)
    for pair in ctx.body:
        if not Service.select().where(Service.id == pair["serviceId"]).exists():
            raise not_found("services", pair["serviceId"])
        config = Config.get_or_none(Config.id == pair["configId"])
        if config is None:
            raise not_found("configs", pair["configId"])
        same_type = Config.select(Config.id).where(Config.config_type == config.config_type_id)
        c = IdentityServiceConfig
        c.delete().where(c.identity == id, c.service == pair["serviceId"], c.config.in_(same_type)).execute()
        c.create(identity=id, service=pair["serviceId"], config=pair["configId"])
    roles.touch()
    return {}


def remove_service_configs(ctx: Context, id: str) -> Any:
    """DELETE /identities/{id}/service-configs: the pairs given, or all of them."""
    _get(id)
    c = IdentityServiceConfig
    if not ctx.body:
        c.delete().where(c.identity == id).execute()
    for pair in ctx.body or ():
        c.delete().where(c.identity == id, c.service == pair["serviceId"], c.config == pair["configId"]).execute()
    roles.touch()
    return {}


DISABLE = Body("disable", "DisableParams", (Field("durationMinutes", INT, required="c"),))
TRACE = Body(
    "traceSpec",
    "TraceSpec",
    (Field("enabled", BOOL), Field("traceId", TEXT), Field("duration", TEXT), Field("channels", STRINGS)),
)
CONFIG_PAIRS = Body(
    "serviceConfigs",
    "ServiceConfigsAssignList",
    (Field("serviceId", required="c"), Field("configId", required="c")),
    is_array=True,
)
REMOVED_PAIRS = Body(CONFIG_PAIRS.name, CONFIG_PAIRS.struct, CONFIG_PAIRS.fields, optional=True, is_array=True)
_ITEM = "/identities/{id}"

ACTIONS = (
    Action("POST", f"{_ITEM}/disable", disable, "identity.update", body=DISABLE, write=True, summary="Disable"),
    Action("POST", f"{_ITEM}/enable", enable, "identity.update", write=True, summary="Enable"),
    Action("PUT", f"{_ITEM}/trace", trace, "identity.update", body=TRACE, summary="Trace"),
    Action("GET", f"{_ITEM}/policy-advice/{{serviceId}}", policy_advice, "identity.read"),
    Action("GET", f"{_ITEM}/service-configs", service_configs, "identity.read"),
    Action(
        "POST", f"{_ITEM}/service-configs", assign_service_configs, "identity.update", body=CONFIG_PAIRS, write=True
    ),
    Action(
        "DELETE", f"{_ITEM}/service-configs", remove_service_configs, "identity.update", body=REMOVED_PAIRS, write=True
    ),
)
BOTH = (MANAGEMENT, CLIENT)
