"""Controller settings: what administrators set for one controller or for all, and what is in force.

`global` holds for every controller, a controller's own settings win over it, and what neither sets
has the value of DEFAULTS. Source: /controller-settings; the recorded controller answers 501.
"""

from __future__ import annotations

from typing import Any

from domain.context import Context
from models import ControllerSetting
from wire.errors import ApiError, field_error, not_found
from wire.resource import TAGS, Action, Body, Field, Result, links, nested, now_ms, time_text

GLOBAL = "global"
_URIS = {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 2048}, "maxItems": 100}
OIDC = nested("ControllerSettingsOidc", {"redirectUris": _URIS, "postLogoutUris": _URIS})
DEFAULTS: dict[str, dict[str, list[str]]] = {
    "oidc": {
        "redirectUris": ["http://localhost:*/auth/callback", "http://127.0.0.1:*/auth/callback"],
        "postLogoutUris": ["http://localhost:*/auth/logout", "http://127.0.0.1:*/auth/logout"],
    }
}


def before_save(ctx: Context, row: ControllerSetting | None, values: dict[str, Any]) -> None:
    """Settings are for this controller or for all."""
    if values["id"] not in (GLOBAL, ctx.ctrl.controller_id):
        raise field_error("controllerId", f"controller with id {values['id']} not found", values["id"])


def effective(ctx: Context, controller: str = "") -> dict[str, dict[str, list[str]]]:
    """The settings in force at a controller (this one unless named)."""
    wanted = [GLOBAL, controller or ctx.ctrl.controller_id]
    rows = {r.id: r for r in ControllerSetting.select().where(ControllerSetting.id.in_(wanted))}
    found = {name: dict(values) for name, values in DEFAULTS.items()}
    for key in wanted:
        if key in rows:
            found["oidc"] |= rows[key].oidc or {}
    return found


def _get(id: str) -> ControllerSetting:
    row: ControllerSetting | None = ControllerSetting.get_or_none(ControllerSetting.id == id)
    if row is None:
        raise not_found("controllerSetting", id)
    return row


def show_effective(ctx: Context, id: str) -> Any:
    """GET /controller-settings/{id}/effective: what is in force, and which part of it was set there."""
    row = ControllerSetting.get_or_none(ControllerSetting.id == id)
    if row is None and id != ctx.ctrl.controller_id:
        raise not_found("controllerSetting", id)
    made = time_text(row.created_at if row else ctx.ctrl.started_at)
    return {
        "_links": links("controller-settings", id, ("effective",)),
        "createdAt": made,
        "id": id,
        "tags": row.tags if row else {},
        "updatedAt": time_text(row.updated_at) if row else made,
        "effective": effective(ctx, id),
        "instance": {"oidc": (row.oidc if row else None) or {}},
    }


def replace(ctx: Context, id: str) -> Any:
    """PUT /controller-settings/{id}/effective: what is left out is no longer set there."""
    _get(id)
    return _store(id, ctx.body.get("oidc"), ctx.body.get("tags", {}))


def change(ctx: Context, id: str) -> Any:
    """PATCH /controller-settings/{id}/effective: change what is given."""
    row = _get(id)
    return _store(id, {**(row.oidc or {}), **ctx.body.get("oidc", {})}, ctx.body.get("tags", row.tags))


def _store(key: str, oidc: Any, tags: Any) -> dict[str, Any]:
    changes = {"oidc": oidc, "tags": tags, "updated_at": now_ms()}
    ControllerSetting.update(**changes).where(ControllerSetting.id == key).execute()
    return {}


def remove(ctx: Context, id: str) -> Result:
    """DELETE /controller-settings/{id}/effective: the controller follows the global ones again."""
    row = _get(id)
    if id == GLOBAL:
        raise ApiError("ENTITY_CAN_NOT_BE_DELETED", "the global settings can be changed, not deleted")
    row.delete_instance()
    return Result({})


CHANGE = Body("controllerSetting", "ControllerSettingUpdate", (Field("oidc", OIDC), Field("tags", TAGS)))
_PATH = "/controller-settings/{id}/effective"
ACTIONS = (
    Action("GET", _PATH, show_effective, summary="Settings in force"),
    Action("PUT", _PATH, replace, body=CHANGE, write=True, summary="Replace settings"),
    Action("PATCH", _PATH, change, body=CHANGE, write=True, summary="Change settings"),
    Action("DELETE", _PATH, remove, write=True, summary="Forget a controller's own settings"),
)
