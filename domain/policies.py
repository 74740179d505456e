"""Authentication policies: the rules of the row.

Source: /auth-policies, recorded answers of topics `auth_policies`, `authenticate`.
"""

from __future__ import annotations

from typing import Any

from api.errors import ApiError, go_text
from api.resource import nested
from domain.context import Context
from models import AuthPolicy, Identity

_BOOL = {"type": "boolean"}
_INT = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_CERT = {"allowExpiredCerts": _BOOL, "allowed": _BOOL}
_EXT_JWT = {"allowed": _BOOL, "allowedSigners": {"type": "array", "items": {"type": "string"}}}
_UPDB = {
    "allowed": _BOOL,
    "lockoutDurationMinutes": _INT,
    "maxAttempts": _INT,
    "minPasswordLength": _INT,
    "requireMixedCase": _BOOL,
    "requireNumberChar": _BOOL,
    "requireSpecialChar": _BOOL,
}


def _object(properties: dict[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


PRIMARY = nested(
    "AuthPolicyPrimary",
    {
        "cert": _object(_CERT, tuple(_CERT)),
        "extJwt": _object(_EXT_JWT, tuple(_EXT_JWT)),
        "updb": _object(_UPDB, tuple(_UPDB)),
    },
    ("cert", "extJwt", "updb"),
)
PRIMARY_PATCH = nested(
    "AuthPolicyPrimaryPatch", {"cert": _object(_CERT, ()), "extJwt": _object(_EXT_JWT, ()), "updb": _object(_UPDB, ())}
)
_SECONDARY = {"requireTotp": _BOOL, "requireExtJwtSigner": {"type": "string"}}
SECONDARY = nested("AuthPolicySecondary", _SECONDARY, ("requireTotp",))
SECONDARY_PATCH = nested("AuthPolicySecondaryPatch", _SECONDARY)

DEFAULT_PRIMARY = {
    "cert": {"allowExpiredCerts": True, "allowed": True},
    "extJwt": {"allowed": True, "allowedSigners": []},
    "updb": {
        "allowed": True,
        "lockoutDurationMinutes": 0,
        "maxAttempts": 0,
        "minPasswordLength": 5,
        "requireMixedCase": False,
        "requireNumberChar": False,
        "requireSpecialChar": False,
    },
}


def before_save(ctx: Context, row: AuthPolicy | None, values: dict[str, Any]) -> None:
    """Signers must exist; there are none yet."""
    signers = values.get("primary", {}).get("extJwt", {}).get("allowedSigners", [])
    if signers:
        raise _no_signer("primary.extJwt.allowedExtJwtSigners[0]", signers[0])
    required = values.get("secondary", {}).get("requireExtJwtSigner")
    if required:
        raise _no_signer("secondary.requiredExtJwtSigner", required)


def _no_signer(field: str, value: str) -> ApiError:
    return ApiError("NOT_FOUND", {"field": field, "reason": "not found", "value": value})


def before_delete(ctx: Context, row: AuthPolicy) -> None:
    """Not while somebody has it, and never the default one."""
    users = [i.id for i in Identity.select(Identity.id).where(Identity.auth_policy == row.id).limit(1)]
    if users or row.is_system:
        who = f"entity type authPolicy referenced by identity: {go_text(users)}"
        reason = who if users else "it is the default authentication policy"
        cause = {"field": "authPolicyId", "reason": reason, "value": go_text(users)}
        raise ApiError("CAN_NOT_DELETE_REFERENCED_ENTITY", cause)
