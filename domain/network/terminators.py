"""Terminators: where a service ends, as the edge API and the fabric API show them.

Source: /terminators of both APIs, recorded answers of topics `terminators` and `fabric`.
"""

from __future__ import annotations

from typing import Any

from domain import identities, roles
from domain.context import Context
from models import Router, Service, Terminator
from wire.errors import not_found
from wire.filter_sql import Symbol
from wire.resource import links

SYMBOLS = {
    "hostId": Symbol("string", Terminator.host_id),
    "service": Symbol("string", Terminator.service),
    "router": Symbol("string", Terminator.router),
    "service.name": Symbol("string", Service.select(Service.name).where(Service.id == Terminator.service)),
    "router.name": Symbol("string", Router.select(Router.name).where(Router.id == Terminator.router)),
    "instanceId": Symbol("string", Terminator.instance_id),
    "sourceCtrl": Symbol.nothing("string"),
}


def before_save(ctx: Context, row: Terminator | None, values: dict[str, Any]) -> None:
    """Service and router must exist."""
    if "service" in values and not Service.select().where(Service.id == values["service"]).exists():
        raise not_found("service", values["service"])
    if "router" in values and not Router.select().where(Router.id == values["router"]).exists():
        raise not_found("router", values["router"])


def of_service(ctx: Context, key: str) -> Any:
    """The condition for the terminators of a service."""
    return Terminator.service == key


def of_router(ctx: Context, key: str) -> Any:
    """The condition for the terminators of a router."""
    return Terminator.router == key


def of_my_service(ctx: Context, key: str) -> Any:
    """The same for a service that the caller may dial or bind; of any other there are none."""
    mine = roles.services_by("Dial", ctx.me.id) | roles.services_by("Bind", ctx.me.id)
    return (Terminator.service == key) & Terminator.service.in_(mine)


def extend(ctx: Context, rows: list[Terminator], docs: list[dict[str, Any]]) -> None:
    """Add service and router as the edge API points at them."""
    services, routers = _referenced(rows)
    for row, doc in zip(rows, docs, strict=True):
        router = routers[row.router_id]
        doc |= {
            "dynamicCost": 0,
            "router": reference("transit-routers", router),
            "routerId": router.id,
            "service": identities.service_reference(services[row.service_id]),
            "serviceId": row.service_id,
        }


def extend_fabric(ctx: Context, rows: list[Terminator], docs: list[dict[str, Any]]) -> None:
    """Add service and router as the fabric API points at them."""
    services, routers = _referenced(rows)
    for row, doc in zip(rows, docs, strict=True):
        doc |= {
            "dynamicCost": 0,
            "router": reference("routers", routers[row.router_id], ("terminators",)),
            "routerId": row.router_id,
            "service": reference("services", services[row.service_id], ("terminators",)),
            "serviceId": row.service_id,
        }


def reference(path: str, row: Any, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """How a terminator points at a router or service."""
    return {"_links": links(path, row.id, more), "entity": path, "id": row.id, "name": row.name}


def _referenced(rows: list[Terminator]) -> tuple[dict[str, Service], dict[str, Router]]:
    services = Service.select().where(Service.id.in_({r.service_id for r in rows}))
    routers = Router.select().where(Router.id.in_({r.router_id for r in rows}))
    return {s.id: s for s in services}, {r.id: r for r in routers}
