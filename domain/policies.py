"""Authentication policies: the rules of the row.

Source: /auth-policies, recorded answers of topics `auth_policies`, `authenticate`.
"""

from __future__ import annotations

from typing import Any

from domain.context import Context
from models import AuthPolicy, ExternalJwtSigner, Identity
from wire.errors import ApiError, field_error, go_text
from wire.resource import nested

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
    """The signers that it names must exist."""
    for number, key in enumerate(values.get("primary", {}).get("extJwt", {}).get("allowedSigners", [])):
        if not _signer_exists(key):
            raise _no_signer(f"primary.extJwt.allowedExtJwtSigners[{number}]", key)
    required = values.get("secondary", {}).get("requireExtJwtSigner")
    if required and not _signer_exists(required):
        raise _no_signer("secondary.requiredExtJwtSigner", required)


def _signer_exists(key: str) -> bool:
    return bool(ExternalJwtSigner.select().where(ExternalJwtSigner.id == key).exists())


def _no_signer(field: str, value: str) -> ApiError:
    return ApiError("NOT_FOUND", {"field": field, "reason": "not found", "value": value})


def before_delete(ctx: Context, row: AuthPolicy) -> None:
    """Not while an identity or a signer's enrollment has it, and never the default one."""
    m = ExternalJwtSigner
    signers = [s.id for s in m.select(m.id).where(m.enroll_auth_policy == row.id).limit(1)]
    if signers:
        reason = f"entity type authPolicy referenced by externalJwtSigner: {go_text(signers)}"
        cause = {"field": "enrollAuthPolicyId", "reason": reason, "value": go_text(signers)}
        raise ApiError("CAN_NOT_DELETE_REFERENCED_ENTITY", cause)
    users = [i.id for i in Identity.select(Identity.id).where(Identity.auth_policy == row.id).limit(1)]
    if users or row.is_system:
        who = f"entity type authPolicy referenced by identity: {go_text(users)}"
        reason = who if users else "it is the default authentication policy"
        cause = {"field": "authPolicyId", "reason": reason, "value": go_text(users)}
        raise ApiError("CAN_NOT_DELETE_REFERENCED_ENTITY", cause)


# --- passwords


def check_password(policy: AuthPolicy, password: str) -> None:
    """Hold a password that somebody chooses for themselves against the policy's rules.

    What an administrator sets is not checked, as recorded. The password never shows up in the answer.
    """
    rules = policy.primary["updb"]
    for broken, words in (
        (len(password) < rules["minPasswordLength"], f"must have at least {rules['minPasswordLength']} characters"),
        (rules["requireMixedCase"] and password in (password.lower(), password.upper()), "must have both cases"),
        (rules["requireNumberChar"] and not any(c.isdigit() for c in password), "must have a digit"),
        (rules["requireSpecialChar"] and password.isalnum(), "must have a character that is no letter or digit"),
    ):
        if broken:
            raise field_error("password", f"password {words}", "")
