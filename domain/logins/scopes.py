"""What an API token may be used for: the one place that says so. Imports nothing of ours but the vocabulary.

A token never does more than its owner may; its scope takes away from that:

- `admin`: everything that the owner may do.
- `read`: every GET that answers with a document. Secrets in it are empty (`SECRETS`), and names of secrets
  cannot be filtered by, because a filter that matches tells what it looks for.
- `enroll`: the operations of `ENROLL` and no others. An identity that is an administrator, or holds permissions,
  is not there for it: it is neither shown nor made nor changed, and its tokens are not handed out.
"""

from __future__ import annotations

from typing import Any

from wire.errors import ApiError
from wire.resource import CLIENT, FABRIC, JSON_TYPE, MANAGEMENT, OWN, Action

READ, ENROLL_SCOPE, ADMIN = "read", "enroll", "admin"
SCOPES = (READ, ENROLL_SCOPE, ADMIN)

# Empty texts in what scope `read` gets, so that documents keep their shape; no names in its filters.
SECRETS = frozenset({"enrollmentJwt", "enrollmentToken", "jwt", "token"})
# Documents of the caller's own making: what is called `token` in there is not ours.
FREE_FORM = frozenset({"appData", "data", "envInfo", "sdkInfo", "tags"})
# What scope `read` gets are documents; files, images and tokens are something else.
_DOCUMENTS = frozenset({JSON_TYPE, "application/x-ndjson", "text/csv", "text/plain", "text/yaml"})

_ROWS = ("cas", "edge-routers", "enrollments", "identities", "routers", "transit-routers")
ENROLL = frozenset(
    {
        *(("GET", f"/{row}") for row in _ROWS),
        *(("GET", f"/{row}/{{id}}") for row in _ROWS),
        ("GET", "/cas/{id}/jwt"),
        ("GET", "/current-api-session"),
        ("GET", "/current-identity"),
        ("GET", "/identities/{id}/enrollments"),
        ("POST", "/bulk"),
        ("POST", "/enrollments"),
        ("POST", "/enrollments/{id}/refresh"),
        ("POST", "/identities"),
        ("POST", "/tokens/export"),
    }
)
_ENROLL_PERMISSIONS = frozenset(
    {
        "ca.read",
        "enrollment.create",
        "enrollment.read",
        "enrollment.update",
        "identity.create",
        "identity.read",
        "router.read",
    }
)


def permits(scope: str, action: Action, base: str) -> bool:
    """Whether a scope opens an operation at all; the owner's permissions are asked besides."""
    if scope == ADMIN or action.permission == "public":
        return True
    if scope == READ:
        reads = action.method == "GET" and _DOCUMENTS.issuperset(action.produces)
        return reads and not action.secret and base in (MANAGEMENT, CLIENT, OWN, FABRIC)
    return (action.method, action.path) in ENROLL and base in (MANAGEMENT, CLIENT, OWN)


def covers(scope: str, permission: str) -> bool:
    """Whether a scope leaves its owner this permission, e.g. `identity.create`."""
    if scope == ADMIN:
        return True
    return permission.endswith(".read") if scope == READ else permission in _ENROLL_PERMISSIONS


def refused(name: str, scope: str, action: Action) -> ApiError:
    """401 that says which token does not reach how far (RFC 6750 section 3.1)."""
    text = f"the API token '{name}' has scope {scope}, which does not allow {action.method} {action.path}"
    challenge = f'Bearer realm="zitilite-api-token" error="insufficient_scope" scope="{scope}"'
    return ApiError("UNAUTHORIZED", text, headers={"WWW-Authenticate": challenge}, log=text)


def without_secrets(value: Any) -> Any:
    """A document as scope `read` sees it."""
    if isinstance(value, list):
        return [without_secrets(v) for v in value]
    if isinstance(value, dict):
        return {k: _left(k, v) for k, v in value.items()}
    return value


def _left(name: str, value: Any) -> Any:
    if name in SECRETS and isinstance(value, str):
        return ""
    return value if name in FREE_FORM else without_secrets(value)
