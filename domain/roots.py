"""What the controller tells about itself, mostly without a session.

Source: `/`, `/version`, `/.well-known/est/cacerts`, `/protocols`, `/network-jwts`, `/controllers`,
`/summary`, `/current-identity`, role attribute lists; recorded answers of topic `root`.
"""

from __future__ import annotations

import platform
from typing import Any

import models
from domain import roles
from domain.context import VERSION, Context
from domain.controllers import api_versions
from domain.logins import auth
from wire.errors import ApiError
from wire.filter_rows import select
from wire.filters import FilterError, parse
from wire.resource import CLIENT, MANAGEMENT, Action, Param, Result, always, links, time_text

BOTH = (MANAGEMENT, CLIENT)
PAGING = (Param("limit", "int64"), Param("offset", "int64"))
NO_LIMIT = 2**63 - 1
IDENTITY_TYPES = ("Default", "Router")


def version(ctx: Context) -> Any:
    """GET /version: which APIs are served where.

    `version` is what the recorded controller says, a development build; clients compare it with the
    versions in which upstream gained features. Which program this is stands in `revision`.
    """
    return {
        "apiVersions": api_versions(ctx),
        "buildDate": "2026-11-22 00:00:00",
        "capabilities": ["OIDC_AUTH", "OIDC_AUTH_WITH_CSR"] if ctx.ctrl.settings.oidc == "on" else [],
        "revision": f"zitilite-{VERSION}",
        "runtimeVersion": f"python{platform.python_version()}",
        "version": "v0.0.0",
    }


def cacerts(ctx: Context) -> Result:
    """GET /.well-known/est/cacerts: the trust bundle as PKCS#7 (RFC 7030 section 4.1.3)."""
    return Result(
        raw=ctx.ctrl.authority.cacerts_pkcs7().encode(),
        content_type="application/pkcs7-mime",
        headers={"Content-Transfer-Encoding": "base64"},
    )


def protocols(ctx: Context) -> Any:
    """GET /protocols."""
    return {"https": {"address": str(ctx.ctrl.addresses[0])}}


def enumerated_capabilities(ctx: Context) -> Any:
    """GET /enumerated-capabilities: every capability a controller may have; `/version` has those of this one."""
    return ["OIDC_AUTH", "HA_CONTROLLER", "OIDC_AUTH_WITH_CSR"]


def network_jwts(ctx: Context) -> Any:
    """GET /network-jwts: a token that only tells clients whom to trust."""
    url = ctx.ctrl.url
    token = ctx.ctrl.signer.reusable(url=url, method="network", subject=f"{url}/", token=ctx.ctrl.network_id)
    return [{"name": "default", "token": token}]


def _page(ctx: Context, items: list[Any], fields: list[str], *, limit: int = 0) -> Result:
    """A short list that is not in the database."""
    size = limit or min(int(ctx.query.get("limit") or 10), 500)
    size = NO_LIMIT if size < 0 else size
    offset = 0 if limit else max(int(ctx.query.get("offset") or 0), 0)
    pagination = {"limit": size, "offset": offset, "totalCount": len(items)}
    return Result(items[offset : offset + size], meta={"filterableFields": fields, "pagination": pagination})


def controllers(ctx: Context) -> Result:
    """GET /controllers: empty, as a standalone controller answers."""
    certificate = ["certPem", "fingerprint"]
    state = ["ctrlAddress", "isOnline", "isPreferredLeader", "lastJoinedAt"]
    every = ["createdAt", "id", "isSystem", "name", "tags", "updatedAt"]
    return _page(ctx, [], sorted([*certificate, *state, *every]))


# --- identity types


def identity_types(ctx: Context) -> Result:
    """GET /identity-types: Default and Router; every other type of a request becomes Default."""
    fields = ["createdAt", "id", "isSystem", "name", "tags", "updatedAt"]
    return _page(ctx, [_identity_type(ctx, name) for name in IDENTITY_TYPES], fields)


def identity_type(ctx: Context, id: str) -> Any:
    """GET /identity-types/{id}."""
    if id not in IDENTITY_TYPES:
        raise ApiError("NOT_FOUND", f"identityType with id {id} not found")
    return _identity_type(ctx, id)


def _identity_type(ctx: Context, name: str) -> dict[str, Any]:
    made = time_text(ctx.ctrl.started_at)
    return {
        "_links": links("identity-types", name),
        "createdAt": made,
        "id": name,
        "tags": {},
        "updatedAt": made,
        "name": name,
    }


# --- role attributes


def _attributes(side: str) -> Any:
    def action(ctx: Context) -> Result:
        index = roles.SIDES[side][1]
        names = [a for (a,) in index.select(index.attribute).distinct().order_by(index.attribute).tuples()]
        try:
            query = parse(ctx.query.get("filter", ""))
            rows = select([{"id": n} for n in names], query, {"id": "string"})
        except FilterError as e:
            raise ApiError("INVALID_FILTER", str(e)) from None
        return _page(ctx, [row["id"] for row in rows], ["id"], limit=NO_LIMIT)

    return action


# --- summary


def _count(model: Any, *where: Any) -> int:
    query = model.select(model.id)
    return int((query.where(*where) if where else query).count())


def summary(ctx: Context) -> Result:
    """GET /summary: how many there are of everything."""
    return Result(counts(), meta=None)


def counts() -> dict[str, int]:
    """How many there are of everything."""
    m = models
    return {
        "apiSessionCertificates": _count(m.SessionCertificate),
        "apiSessions": _count(m.ApiSession),
        "authPolicies": _count(m.AuthPolicy),
        "authenticators": _count(m.Authenticator),
        "cas": _count(m.Ca),
        "configTypes": _count(m.ConfigType),
        "configs": _count(m.Config),
        "controllers": 0,
        "edgeRouterPolicies": _count(m.EdgeRouterPolicy),
        "enrollments": _count(m.Enrollment),
        "eventualEvents": 0,
        "externalJwtSigners": _count(m.ExternalJwtSigner),
        "identities": _count(m.Identity),
        "identityTypes": len(IDENTITY_TYPES),
        "mfas": _count(m.Mfa),
        "postureCheckTypes": 5,
        "postureChecks": _count(m.PostureCheck),
        "revocations": _count(m.Revocation),
        "routers": _count(m.Router),
        "routers.edge": _count(m.Router, m.Router.kind == "edge"),
        "serviceEdgeRouterPolicies": _count(m.ServiceEdgeRouterPolicy),
        "servicePolicies": _count(m.ServicePolicy),
        "services": _count(m.Service, ~m.Service.is_fabric_only),
        "sessions": _count(m.Session),
        "terminators": _count(m.Terminator),
    }


def _open(path: str, fn: Any, bases: tuple[str, ...], text: str, **more: Any) -> Action:
    return Action("GET", path, fn, "public", bases, summary=text, quick=always, **more)


ACTIONS = (
    _open("", version, BOTH, "Version"),
    _open("/version", version, BOTH, "Version"),
    _open(
        "/.well-known/est/cacerts",
        cacerts,
        (*BOTH, ""),
        "Trust bundle",
        produces=("application/pkcs7-mime", "application/json"),
    ),
    _open("/protocols", protocols, (CLIENT,), "Addresses"),
    _open("/enumerated-capabilities", enumerated_capabilities, BOTH, "All capabilities there are"),
    _open("/network-jwts", network_jwts, BOTH, "Tokens that tell whom to trust"),
    Action("GET", "/controllers", controllers, "session", (CLIENT,), query=PAGING, summary="Controllers"),
    Action("GET", "/controllers", controllers, "controller.read", query=PAGING, summary="Controllers"),
    Action("GET", "/summary", summary, "admin", summary="Counts"),
    Action("GET", "/identity-types", identity_types, "session", query=PAGING, summary="Identity types"),
    Action("GET", "/identity-types/{id}", identity_type, "session", summary="Identity type"),
    Action("GET", "/identity-role-attributes", _attributes("identity"), "identity.read"),
    Action("GET", "/service-role-attributes", _attributes("service"), "service.read"),
    Action("GET", "/edge-router-role-attributes", _attributes("router"), "router.read"),
    Action("GET", "/posture-check-role-attributes", _attributes("posture"), "posture-check.read"),
)
__all__ = ["ACTIONS", "auth"]
