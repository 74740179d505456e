"""The fabric API's table: the same routers, services and terminators as the edge API's, seen from below.

Source: `/fabric/v1`, recorded answers of topic `fabric`. Its rows need a full administrator.
"""

from __future__ import annotations

from api.runtime import terminator
from domain import ids
from domain.network import fabric, routers, services, terminators
from models import Router, Service, ServiceAttribute, ServiceConfig
from wire.filter_sql import Symbol
from wire.resource import BOOL, COST, FABRIC, INT, OBJECT, OPTIONAL_TEXT, STRINGS, TEXT, Association, Entity, Field

_NAME = Field("name", required="cu")

ENTITIES: tuple[Entity, ...] = (
    Entity(
        "routers",
        "router",
        Router,
        "Router",
        (
            Field("id", body="c", required="c", shown=False, filterable=False),
            _NAME,
            Field("cost", COST, required="cu"),
            Field("noTraversal", BOOL, required="cu"),
            Field("disabled", BOOL),
            Field("fingerprint", OPTIONAL_TEXT, required="u"),
            Field("configs", STRINGS, shown=False, filterable=False),
            Field("ctrlChanListeners", OBJECT, omit=True),
        ),
        bases=(FABRIC,),
        links=("terminators",),
        duplicate="duplicate value '{value}' in unique index on routers store",
        filterable=(
            "configs",
            "connected",
            "cost",
            "ctrlChanListeners",
            "disabled",
            "fingerprint",
            "name",
            "noTraversal",
        ),
        symbols={"configs": Symbol.set_in_json(Router.configs), "connected": Symbol.nothing("bool")},
        before_save=fabric.before_router_save,
        after_save=routers.after_fabric_save,
        before_delete=routers.before_delete,
        extend=fabric.extend_routers,
        associations=(Association("terminators", "terminators", terminators.of_router),),
    ),
    Entity(
        "services",
        "service",
        Service,
        "Service",
        (
            _NAME,
            Field("terminatorStrategy", default="smartrouting"),
            Field("maxIdleTimeMillis", INT, filterable=False),
        ),
        bases=(FABRIC,),
        new_id=ids.short_id,
        links=("terminators",),
        symbols={
            "roleAttributes": Symbol.set_of(Service.id, ServiceAttribute.entity, ServiceAttribute.attribute),
            "configs": Symbol.set_of(Service.id, ServiceConfig.service, ServiceConfig.config),
            "isFabricOnly": Symbol("bool", Service.is_fabric_only),
        },
        before_save=services.before_fabric_save,
        after_save=services.after_fabric_save,
        before_delete=services.before_delete,
        associations=(Association("terminators", "terminators", terminators.of_service),),
    ),
    terminator(
        (
            Field("instanceId", body="c", filterable=False),
            Field("instanceSecret", TEXT, body="c", shown=False, filterable=False),
            Field("hostId", filterable=False),
        ),
        bases=(FABRIC,),
        extend=terminators.extend_fabric,
    ),
)
TABLE = {entity.path: entity for entity in ENTITIES}
