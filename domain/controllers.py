"""The controller as its clients see it: addresses, versions, and the list of controllers."""

from __future__ import annotations

from typing import Any

from api.resource import CLIENT, MANAGEMENT, NEVER, links
from domain.context import Context


def own_entry(ctx: Context) -> dict[str, Any]:
    """The entry for this controller in enrollment answers, made up on the spot as a standalone one does."""
    cert = ctx.ctrl.authority.server_cert
    name = ctx.ctrl.controller_id
    return {
        "_links": links("controllers", name),
        "createdAt": NEVER,
        "id": name,
        "tags": {},
        "updatedAt": NEVER,
        "apiAddresses": {"edge-client": [{"url": ctx.ctrl.url + CLIENT, "version": "v1"}]},
        "certPem": cert.pem,
        "fingerprint": cert.fingerprint,
        "isOnline": True,
        "lastJoinedAt": None,
        "name": name,
    }


def api_versions(ctx: Context) -> dict[str, Any]:
    """Which APIs are served where; exactly those that are (clients use whatever stands here)."""

    def entry(path: str) -> dict[str, Any]:
        urls = [f"https://{a}{path}" for a in ctx.ctrl.addresses]
        return {"v1": {"apiBaseUrls": urls, "path": path}}

    return {"edge": entry(CLIENT), "edge-client": entry(CLIENT), "edge-management": entry(MANAGEMENT)}
