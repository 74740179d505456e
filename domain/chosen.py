"""Settings that an administrator may change while the controller runs.

A value chosen here is a fact in the database, so every process of the controller sees it at once. It takes the
place of the default only: what a flag, a variable or the settings file says wins, and is changed there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import config
import store
from config import SERVER_NAMES, Setting, Settings
from domain.care import audit, plain_lists
from domain.context import Context
from models import Meta
from prepared import Prepared
from wire.errors import field_error, not_found
from wire.resource import OWN, TEXT, Action, Body, Field, Param, Result

PREFIX = "setting."
# What is asked for each time it is used, so that a change needs no restart.
CHANGEABLE = (
    "identity_certificate_days",
    "router_certificate_days",
    "enrollment_minutes",
    "router_enrollment_minutes",
    "ca_key",
    "backup_hours",
    "backup_keep",
)
MOST = {"identity_certificate_days": 3650, "router_certificate_days": 3650}
_ROWS = {s.name: s for s in config.SETTINGS}
_CHOSEN = Prepared(lambda key: Meta.select(Meta.value).where(Meta.key == key))
_KINDS: dict[str, Any] = {
    "id": "string",
    "source": "string",
    "isChangeable": "bool",
    "isSecret": "bool",
    "isChosen": "bool",
}


def value(settings: Settings, name: str) -> Any:
    """The value in force: that of the process, or the one chosen where the process has only the default."""
    row = _row(settings, name)
    return settings.values[name] if row is None else _ROWS[name].convert(row[0])


def is_chosen(settings: Settings, name: str) -> bool:
    """Whether the value in force was chosen while it ran."""
    return _row(settings, name) is not None


def _row(settings: Settings, name: str) -> Any:
    """What was chosen, as a row of one text; None where nothing was, or something goes before it."""
    return _CHOSEN.first(PREFIX + name) if settings.sources.get(name, "default") == "default" else None


def days(settings: Settings) -> Callable[[str], timedelta]:
    """How long a certificate of an "identity" or a "router" is valid, asked for each one that is issued."""
    return lambda owner: timedelta(days=value(settings, f"{owner}_certificate_days"))


# --- the API


def _document(settings: Settings, s: Setting) -> dict[str, Any]:
    source = settings.sources.get(s.name, "default")
    chosen_here = s.name in CHANGEABLE and is_chosen(settings, s.name)
    current = value(settings, s.name) if s.name in CHANGEABLE else settings.values[s.name]
    return {
        "_links": {"self": {"href": f"./settings/{s.name}"}},
        "id": s.name,
        "value": None if s.secret else _shown(current),
        "isSet": current not in ("", None, ()),
        "default": None if s.secret else _shown(s.default),
        "source": "chosen here" if chosen_here else source,
        "meaning": s.help,
        "flag": s.flag,
        "variable": s.variable,
        "isSecret": s.secret,
        "isChangeable": s.name in CHANGEABLE and source == "default",
        "isChosen": chosen_here,
    }


def _shown(found: Any) -> str | None:
    if found is None:
        return None
    return ", ".join(str(one) for one in found) if isinstance(found, (tuple, list)) else str(found)


def listing(ctx: Context) -> Result:
    """GET /settings: all of the server, with where each comes from and how it is changed. Secrets are not shown."""
    found = [_document(ctx.ctrl.settings, s) for s in config.SETTINGS if s.name in SERVER_NAMES]
    return plain_lists.page(ctx, found, _KINDS)


def detail(ctx: Context, id: str) -> Any:
    """GET /settings/{id}."""
    return _document(ctx.ctrl.settings, _known(id))


def _known(name: str) -> Setting:
    if name not in SERVER_NAMES:
        raise not_found("setting", name)
    return _ROWS[name]


def _changeable(ctx: Context, name: str) -> Setting:
    s = _known(name)
    source = ctx.ctrl.settings.sources.get(name, "default")
    if name not in CHANGEABLE:
        raise field_error("id", f"{name} is read at the start: give {s.flag} or {s.variable} and start again", name)
    if source != "default":
        raise field_error("id", f"{name} comes from {source}, which wins: change it there and start again", name)
    return s


def choose(ctx: Context, id: str) -> Any:
    """PATCH /settings/{id}: the value from now on. Raises COULD_NOT_VALIDATE with what it has to be."""
    s = _changeable(ctx, id)
    wanted = ctx.body["value"].strip()
    try:
        found = s.convert(wanted)
    except ValueError as e:
        raise field_error("value", str(e) if "invalid literal" not in str(e) else "is no number", wanted) from None
    if found > MOST.get(id, 10**6) if isinstance(found, int) else False:
        raise field_error("value", f"is above {MOST.get(id, 10**6)}", wanted)
    if id == "backup_hours" and found and not ctx.ctrl.settings.backup_passphrase:
        named = _ROWS["backup_passphrase"]
        text = f"backups by the clock need a passphrase: give {named.flag} or {named.variable} and start again"
        raise field_error("value", text, wanted)
    return _put(ctx, s, str(found))


def reset(ctx: Context, id: str) -> Any:
    """DELETE /settings/{id}: back to the default."""
    s = _changeable(ctx, id)
    return _put(ctx, s, None)


def _put(ctx: Context, s: Setting, text: str | None) -> Any:
    before = _shown(value(ctx.ctrl.settings, s.name))
    with store.write():
        if text is None or text == str(s.default):
            Meta.delete().where(Meta.key == PREFIX + s.name).execute()
        else:
            Meta.replace(key=PREFIX + s.name, value=text).execute()
        after = _shown(value(ctx.ctrl.settings, s.name))
        audit.record(ctx, "update", "settings", s.name, before={"value": before}, after={"value": after})
    ctx.concerns_all = True
    ctx.ctrl.wake.set()
    return _document(ctx.ctrl.settings, s)


BODY = Body("setting", "SettingPatch", (Field("value", TEXT, required="c"),))
_PAGING = (Param("limit", "int64"), Param("offset", "int64"))
ACTIONS = (
    Action("GET", "/settings", listing, bases=(OWN,), query=_PAGING, summary="The settings, and where each comes from"),
    Action("GET", "/settings/{id}", detail, bases=(OWN,), summary="One setting"),
    Action("PATCH", "/settings/{id}", choose, bases=(OWN,), body=BODY, summary="Choose another value than the default"),
    Action("DELETE", "/settings/{id}", reset, bases=(OWN,), summary="Back to the default"),
)
