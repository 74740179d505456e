"""What a bulk request may do to one row: the same rule functions that the single operations call.

renew: every pending token of the row gets a new text and expiry; the old ones are void.
reissue: what the row logs in with ends at once, with the sessions it made, and one-time tokens take its place; a
row without any gets a token all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from api import rows, schemas
from domain import authenticators, chosen, enrollment, identities
from domain.context import Context
from domain.network import routers
from models import Authenticator, Enrollment, Router
from wire.errors import ApiError, field_error
from wire.resource import Entity, nested, now_ms, parse_time, time_text

Json = dict[str, Any]
Options = Mapping[str, Any]
Run = Callable[[Context, Entity, str, Json, Options], str]
_STRINGS = {"type": "array", "items": {"type": "string"}}
ATTRIBUTE_CHANGES = nested("RoleAttributeChanges", {"add": _STRINGS, "remove": _STRINGS})
TAG_CHANGES = nested("TagChanges", {"set": {"type": "object"}, "remove": _STRINGS})


@dataclass(frozen=True, slots=True)
class Operation:
    """One action of bulk requests. needs: verbs of the entity's permission, and whole permissions.

    method and path are those of the single operation that it stands for, router those for a router where
    they are others: hooks of rows look at the method.
    """

    run: Run
    needs: tuple[str, ...]
    method: str
    path: str
    makes_tokens: bool = False
    makes_ids: bool = False
    router: tuple[str, str] | None = None

    def single(self, entity: Entity) -> tuple[str, str]:
        """Method and path of the request for one row."""
        return self.router if self.router and entity.side != "identity" else (self.method, self.path)

    def permissions(self, entity: Entity) -> list[str]:
        """What the caller must be allowed."""
        return [need if "." in need else f"{entity.permission}.{need}" for need in self.needs]


def checked(options: Options) -> Json:
    """The options, with the time that new tokens end worked out. Raises what is wrong with them."""
    found = dict(options)
    minutes = found.get("durationMinutes")
    if minutes is not None and not 0 <= minutes <= 10_000_000:
        raise field_error("durationMinutes", "durationMinutes must be between 0 and 10000000", minutes)
    if found.get("expiresAt"):
        try:
            enrollment.future(found["expiresAt"])
        except (ValueError, OverflowError):
            raise field_error("expiresAt", "expiresAt is no RFC 3339 time", found["expiresAt"]) from None
    elif minutes and options["action"] != "disable":
        found["expiresAt"] = time_text(now_ms() + minutes * 60_000)
    if options["action"] == "tag" and not (found.get("tags") or found.get("roleAttributes")):
        raise field_error("tags", "tag needs tags, roleAttributes or both", None)
    return found


# --- rules of both kinds


def _create(ctx: Context, entity: Entity, key: str, body: Json, options: Options) -> str:
    body = {**(options.get("defaults") or {}), **body}
    if entity.side == "identity":
        body = {"type": "Device", "isAdmin": False, **body}
        wanted = body.get("enrollment")
        if isinstance(wanted, dict) and options.get("expiresAt"):
            body["enrollment"] = {"expiresAt": options["expiresAt"], **wanted}
    checker = schemas.entity_checker(entity, "c")
    assert isinstance(checker, schemas.Checker)
    ctx.body = checker.check_value(body)
    return str(rows.create(ctx, entity).data["id"])


def _tag(ctx: Context, entity: Entity, key: str, body: Json, options: Options) -> str:
    row = rows.fetch(ctx, entity, key)
    changes: Json = {}
    asked = options.get("roleAttributes") or {}
    if asked:
        if not any(f.name == "roleAttributes" for f in entity.fields):
            raise field_error("roleAttributes", f"{entity.path} have no role attributes", None)
        kept = set(row.role_attributes) - set(asked.get("remove", ()))
        changes["roleAttributes"] = sorted(kept | set(asked.get("add", ())))
    asked = options.get("tags") or {}
    if asked:
        gone = set(asked.get("remove", ()))
        changes["tags"] = {k: v for k, v in row.tags.items() if k not in gone} | asked.get("set", {})
    ctx.body = changes
    rows.patch(ctx, entity, key)
    return key


def _delete(ctx: Context, entity: Entity, key: str, body: Json, options: Options) -> str:
    rows.delete(ctx, entity, key)
    return key


def _renew(ctx: Context, entity: Entity, key: str, body: Json, options: Options) -> str:
    row = rows.fetch(ctx, entity, key)
    waiting = _waiting(entity, key)
    if not waiting:
        raise ApiError("NOT_FOUND", f"'{row.name}' has no pending token to renew: reissue makes a new one")
    _refresh(ctx, entity, waiting, options)
    return key


def _waiting(entity: Entity, key: str) -> list[Enrollment]:
    column = Enrollment.identity if entity.side == "identity" else Enrollment.router
    return list(Enrollment.select().where(column == key))


def _refresh(ctx: Context, entity: Entity, waiting: list[Enrollment], options: Options) -> None:
    ctx.body = {"expiresAt": _ends(ctx, entity, options)}
    for e in waiting:
        enrollment.refresh(ctx, e.id)


def _ends(ctx: Context, entity: Entity, options: Options) -> str:
    """When a token made now ends: as asked for, else as the settings say."""
    if options.get("expiresAt"):
        return str(options["expiresAt"])
    name = "enrollment_minutes" if entity.side == "identity" else "router_enrollment_minutes"
    minutes = chosen.value(ctx.ctrl.settings, name)
    return str(time_text(now_ms() + minutes * 60_000))


# --- rules that differ


def _reissue(ctx: Context, entity: Entity, key: str, body: Json, options: Options) -> str:
    row = rows.fetch(ctx, entity, key)
    if isinstance(row, Router):
        routers.start_over(ctx, row, expires_at=parse_time(_ends(ctx, entity, options)))
        return key
    enrollment.guard_admin(ctx, row)
    held = list(Authenticator.select(Authenticator.id).where(Authenticator.identity == key))
    ends = _ends(ctx, entity, options)
    for a in held:
        authenticators.re_enroll(replace(ctx, body={"expiresAt": ends}), a.id)
    waiting = _waiting(entity, key)
    if not held and waiting:
        _refresh(ctx, entity, waiting, options)
    elif not held:
        enrollment.create(replace(ctx, body={"method": "ott", "identityId": key, "expiresAt": ends}))
    return key


def _disable(ctx: Context, entity: Entity, key: str, body: Json, options: Options) -> str:
    return _switch(ctx, entity, key, options, disabled=True)


def _enable(ctx: Context, entity: Entity, key: str, body: Json, options: Options) -> str:
    return _switch(ctx, entity, key, options, disabled=False)


def _switch(ctx: Context, entity: Entity, key: str, options: Options, *, disabled: bool) -> str:
    rows.fetch(ctx, entity, key)
    if entity.side != "identity":
        ctx.body = {"disabled": disabled}
        rows.patch(ctx, entity, key)
    elif disabled:
        ctx.body = {"durationMinutes": options.get("durationMinutes") or 0}
        identities.disable(ctx, key)
    else:
        identities.enable(ctx, key)
    return key


_ITEM = "/{entity}/{id}"
OPERATIONS: dict[str, Operation] = {
    "create": Operation(_create, ("create",), "POST", "/{entity}", makes_tokens=True, makes_ids=True),
    "tag": Operation(_tag, ("update",), "PATCH", _ITEM),
    "renew": Operation(_renew, ("enrollment.update",), "POST", _ITEM + "/renew", makes_tokens=True),
    "reissue": Operation(_reissue, ("update", "enrollment.create"), "POST", _ITEM + "/re-enroll", makes_tokens=True),
    "disable": Operation(_disable, ("update",), "POST", _ITEM + "/disable", router=("PATCH", _ITEM)),
    "enable": Operation(_enable, ("update",), "POST", _ITEM + "/enable", router=("PATCH", _ITEM)),
    "delete": Operation(_delete, ("delete",), "DELETE", _ITEM),
}
