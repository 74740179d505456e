"""The controller as its clients see it: addresses, versions, and the list of controllers."""

from __future__ import annotations

from typing import Any

from domain.context import Context
from domain.logins.access_tokens import PATH as OIDC
from wire.resource import CLIENT, FABRIC, MANAGEMENT, NEVER, links


def own_entry(ctx: Context) -> dict[str, Any]:
    """The entry for this controller in enrollment answers, made up on the spot as a standalone one does."""
    cert = ctx.ctrl.authority.server_cert
    name = ctx.ctrl.controller_id
    addresses = {"edge-client": CLIENT} | ({"edge-oidc": OIDC} if ctx.ctrl.settings.oidc == "on" else {})
    return {
        "_links": links("controllers", name),
        "createdAt": NEVER,
        "id": name,
        "tags": {},
        "updatedAt": NEVER,
        "apiAddresses": {api: [{"url": ctx.ctrl.url + path, "version": "v1"}] for api, path in addresses.items()},
        "certPem": cert.pem,
        "fingerprint": cert.fingerprint,
        "isOnline": True,
        "lastJoinedAt": None,
        "name": name,
    }


def api_versions(ctx: Context) -> dict[str, Any]:
    """Which APIs are served where; exactly those that are (clients use whatever stands here).

    The URLs of `fabric` lack its path, as recorded: its clients add it themselves.
    """

    def entry(path: str) -> dict[str, Any]:
        urls = [f"https://{a}{path}" for a in ctx.ctrl.addresses]
        return {"v1": {"apiBaseUrls": urls, "path": path}}

    found = {
        "edge": entry(CLIENT),
        "edge-client": entry(CLIENT),
        "edge-management": entry(MANAGEMENT),
        "fabric": {"v1": {"apiBaseUrls": [f"https://{a}" for a in ctx.ctrl.addresses], "path": FABRIC}},
        "health-checks": entry("/health-checks/v1"),
    }
    if ctx.ctrl.settings.oidc == "on":
        found["edge-oidc"] = entry(OIDC)
    return found
