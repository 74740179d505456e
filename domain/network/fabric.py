"""The fabric API beside its rows: links, circuits, inspections and the cluster, of which there is none.

Without a control channel no router is ever connected here, so there are no links and no circuits.
Source: `/fabric/v1`, recorded answers of topic `fabric`; `STANDALONE.md` for the cluster paths.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any

from config import SETTINGS
from domain import roles, roots
from domain.context import Context
from models import Router
from wire.errors import ApiError, field_error, not_found
from wire.filter_rows import select
from wire.filters import FilterError, Kind, parse
from wire.resource import BOOL, FABRIC, INT, STRINGS, Action, Body, Field, Param, Result

MAX_LIMIT = 500
_ONLY = (FABRIC,)


# --- routers


def before_router_save(ctx: Context, row: Router | None, values: dict[str, Any]) -> None:
    """A router made here has the id that the caller gives it, and needs no enrollment."""
    if row is not None:
        return
    if Router.select().where(Router.id == values["id"]).exists():
        raise field_error("id", f"an entity of type router already exists with id {values['id']}", values["id"])
    values |= {"kind": "fabric", "is_verified": True}


def extend_routers(ctx: Context, rows: list[Router], docs: list[dict[str, Any]]) -> None:
    """Add the state of the connection: there is none."""
    for row, doc in zip(rows, docs, strict=True):
        doc |= {"configs": row.configs or None, "connected": False, "interfaces": None, "listenerAddresses": None}


# --- links and circuits

_LINK: dict[str, Kind] = {
    "id": "string",
    "protocol": "string",
    "sourceRouter": "string",
    "destRouter": "string",
    "state": "string",
    "cost": "number",
    "staticCost": "number",
    "down": "bool",
}
_CIRCUIT: dict[str, Kind] = {
    "id": "string",
    "clientId": "string",
    "service": "string",
    "terminator": "string",
    "createdAt": "datetime",
    "tags": "map",
}


def _none_of(symbols: dict[str, Kind]) -> Callable[[Context], Result]:
    def action(ctx: Context) -> Result:
        limit = int(ctx.query.get("limit") or 10)
        offset = max(int(ctx.query.get("offset") or 0), 0)
        try:
            select([], parse(ctx.query.get("filter", "")), symbols)
        except FilterError as e:
            raise ApiError("INVALID_FILTER", str(e)) from None
        pagination = {"limit": min(limit, MAX_LIMIT) if limit > 0 else 10, "offset": offset, "totalCount": 0}
        return Result([], meta={"pagination": pagination})

    return action


def _unknown(singular: str) -> Callable[..., Any]:
    def action(ctx: Context, id: str) -> Any:
        raise not_found(singular, id)

    return action


def delete_link(ctx: Context, id: str) -> Any:
    """DELETE /links/{id}: 200 also for an unknown link, as recorded."""
    return {}


# --- inspections


def inspect(ctx: Context) -> Result:
    """POST /inspections: look inside the processes whose id matches; here that is the controller alone.

    The answer has no envelope. Values that nobody knows are left out.
    """
    name = ctx.ctrl.controller_id
    try:
        matches = re.search(ctx.body["appRegex"], name) is not None
    except re.error as e:
        return _inspected([], [f"{name}: error parsing regexp: {e}"])
    wanted = ctx.body["requestedValues"] if matches else []
    known = [(value, INSPECTIONS[value]) for value in wanted if value in INSPECTIONS]
    return _inspected([{"appId": name, "name": value, "value": fn(ctx)} for value, fn in known], [])


def _inspected(values: list[dict[str, Any]], errors: list[str]) -> Result:
    document = {"errors": errors or None, "success": not errors, "values": values or None}
    return Result(raw=(json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n").encode())


_FILES = {"data", "config", "signing_cert", "signing_key", "server_cert", "server_cert_key"}


def _config(ctx: Context) -> Any:
    # Secrets, and where files lie on this machine, are nobody's business who is not on it.
    shown = [s.name for s in SETTINGS if not s.secret and s.name not in _FILES]
    return {name: _plain(ctx.ctrl.settings.values[name]) for name in shown}


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return [str(v) for v in value]
    return str(value)


def _stacks(ctx: Context) -> str:
    frames = sys._current_frames().items()  # noqa: SLF001 - the documented way to see all threads
    return "\n".join(f"thread {key}\n{''.join(traceback.format_stack(frame))}" for key, frame in frames)


def _index(ctx: Context) -> Any:
    return {"index": roles.last_change(), "timeline": ctx.ctrl.network_id}


INSPECTIONS: dict[str, Callable[[Context], Any]] = {
    "config": _config,
    "connected-routers": lambda ctx: "null",
    "data-model-index": _index,
    "identity-connection-statuses": lambda ctx: {"connections": {}, "scanInterval": "1m0s"},
    "metrics": lambda ctx: ctx.ctrl.metrics.samples(roots.counts()),
    "metrics:json": lambda ctx: ctx.ctrl.metrics.samples(roots.counts()),
    "metrics:prometheus": lambda ctx: ctx.ctrl.metrics.blocks(roots.counts()),
    "router-data-model-index": _index,
    "router-messaging": lambda ctx: {"routerUpdates": None, "terminatorValidations": None},
    "stackdump": _stacks,
    "terminator-costs": lambda ctx: {"terminators": None},
}


# --- cluster


def no_cluster(ctx: Context) -> Any:
    """What every cluster path of a standalone controller answers."""
    raise ApiError("SERVER_NOT_RUNNING_IN_HA_MODE")


LINK = Body("link", "LinkPatch", (Field("staticCost", INT), Field("down", BOOL)))
CIRCUIT = Body("options", "CircuitDelete", (Field("immediate", BOOL),), optional=True)
INSPECT = Body(
    "request", "InspectRequest", (Field("appRegex", required="c"), Field("requestedValues", STRINGS, required="c"))
)
ADD = Body("member", "ClusterMemberAdd", (Field("address", required="c"), Field("isVoter", BOOL, required="c")))
REMOVE = Body("member", "ClusterMemberRemove", (Field("id", required="c"),))
TRANSFER = Body("member", "ClusterTransferLeadership", (Field("newLeaderId"),))
_PAGING = (Param("limit", "int64"), Param("offset", "int64"))

ACTIONS = (
    Action("GET", "/links", _none_of(_LINK), "ops.read", _ONLY, query=_PAGING, summary="Links"),
    Action("GET", "/links/{id}", _unknown("link"), "ops.read", _ONLY, summary="One link"),
    Action("PATCH", "/links/{id}", _unknown("link"), "ops.update", _ONLY, LINK, summary="Change a link"),
    Action("DELETE", "/links/{id}", delete_link, "ops.delete", _ONLY, summary="Break a link"),
    Action("GET", "/circuits", _none_of(_CIRCUIT), "ops.read", _ONLY, query=_PAGING, summary="Circuits"),
    Action("GET", "/circuits/{id}", _unknown("circuit"), "ops.read", _ONLY, summary="One circuit"),
    Action("DELETE", "/circuits/{id}", _unknown("circuit"), "ops.delete", _ONLY, CIRCUIT, summary="End a circuit"),
    Action("POST", "/inspections", inspect, "ops.read", _ONLY, INSPECT, summary="Look inside the controller"),
    Action("GET", "/cluster/list-members", no_cluster, "admin", _ONLY, summary="Members of the cluster"),
    Action("POST", "/cluster/add-member", no_cluster, "admin", _ONLY, ADD, summary="Add a member"),
    Action("POST", "/cluster/remove-member", no_cluster, "admin", _ONLY, REMOVE, summary="Remove a member"),
    Action("POST", "/cluster/transfer-leadership", no_cluster, "admin", _ONLY, TRANSFER, summary="Choose the leader"),
)
