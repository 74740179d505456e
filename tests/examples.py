"""One valid body for each collection of the table, and a change that can be made to the item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from api.entities import ENTITIES
from tests.certificates import CA
from tests.controllers import Api
from tests.flows import ca_body, unique
from wire.resource import MANAGEMENT, Entity

Body = dict[str, Any]
_UPDB = {
    **dict.fromkeys(("requireMixedCase", "requireNumberChar", "requireSpecialChar"), False),
    **dict.fromkeys(("lockoutDurationMinutes", "maxAttempts"), 0),
    "minPasswordLength": 5,
    "allowed": True,
}
_PRIMARY = {
    "cert": {"allowed": True, "allowExpiredCerts": True},
    "extJwt": {"allowed": True, "allowedSigners": []},
    "updb": _UPDB,
}
_SCHEMA = {"type": "object", "properties": {"port": {"type": "integer"}}}


def config_type(api: Api) -> str:
    return api.create("/config-types", {"name": unique("type"), "schema": _SCHEMA})


def policy(api: Api, *lists: str) -> Body:
    return {"semantic": "AnyOf", **{name: ["#a"] for name in lists}}


def signer(api: Api) -> Body:
    return {"enabled": True, "issuer": unique("issuer"), "audience": "here", "certPem": CA.root("x").leaf("s").pem}


_SYSTEMS = [{"type": "Windows", "versions": [">=10.0.0"]}]
# What creates an item, besides its name, and what then changes in it.
EXAMPLES: dict[str, tuple[Callable[[Api], Body], Body]] = {
    "identities": (
        lambda api: {"type": "Default", "isAdmin": False, "externalId": unique("x")},
        {"appData": {"a": "b"}},
    ),
    "cas": (
        lambda api: ca_body(CA.root(unique("root")).pem, identityNameFormat="[commonName]"),
        {"isAuthEnabled": False},
    ),
    "edge-routers": (lambda api: {"cost": 3, "roleAttributes": ["a"]}, {"cost": 4}),
    "transit-routers": (lambda api: {"cost": 3}, {"cost": 4}),
    "routers": (lambda api: {"cost": 3}, {"cost": 4}),
    "auth-policies": (
        lambda api: {"primary": _PRIMARY, "secondary": {"requireTotp": False}},
        {"primary": {**_PRIMARY, "updb": {**_UPDB, "maxAttempts": 7}}},
    ),
    "services": (lambda api: {"encryptionRequired": True, "roleAttributes": ["a"]}, {"terminatorStrategy": "random"}),
    "config-types": (lambda api: {"schema": _SCHEMA}, {"schema": {"type": "object"}}),
    "configs": (lambda api: {"configTypeId": config_type(api), "data": {"port": 1}}, {"data": {"port": 2}}),
    "service-policies": (
        lambda api: {"type": "Dial", **policy(api, "identityRoles", "serviceRoles")},
        {"serviceRoles": ["#b"]},
    ),
    "edge-router-policies": (
        lambda api: policy(api, "identityRoles", "edgeRouterRoles"),
        {"identityRoles": ["#b"]},
    ),
    "service-edge-router-policies": (
        lambda api: policy(api, "serviceRoles", "edgeRouterRoles"),
        {"serviceRoles": ["#b"]},
    ),
    "posture-checks": (lambda api: {"operatingSystems": _SYSTEMS, "roleAttributes": ["a"]}, {"roleAttributes": ["b"]}),
    "external-jwt-signers": (signer, {"enabled": False}),
}
# What every body of a collection needs: create, put and patch.
ALWAYS: dict[str, Body] = {"posture-checks": {"typeId": "OS"}}
# Collections whose items have no name: their own tests know them.
NAMELESS = {"terminators", "revocations", "controller-settings"}
ON_MANAGEMENT = [entity for entity in ENTITIES if MANAGEMENT in entity.bases]
NAMED = [entity for entity in ON_MANAGEMENT if "c" in entity.verbs and entity.path in EXAMPLES]


def example(api: Api, entity: Entity) -> Body:
    """A body that creates an item of this collection."""
    return EXAMPLES[entity.path][0](api) | ALWAYS.get(entity.path, {}) | {"name": unique(entity.path)}


def change(entity: Entity, more: Body | None = None) -> Body:
    """A body that changes an item; `more` instead of the example's change."""
    return (EXAMPLES[entity.path][1] if more is None else more) | ALWAYS.get(entity.path, {})
