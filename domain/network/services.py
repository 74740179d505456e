"""Services, configs and config types: the rules of their rows and what a caller sees of a service.

Source: /services, /configs and /config-types, recorded answers of topics `services`, `configs`, `client`.
"""

from __future__ import annotations

from typing import Any

from domain import roles, schema_errors
from domain.context import Context
from domain.network import posture
from models import Config, ConfigType, IdentityServiceConfig, PolicyMember, Service, ServiceConfig, ServicePolicy
from wire.errors import ApiError, field_error, go_text, not_found
from wire.resource import CLIENT, Action, links, time_text

STRATEGIES = ("smartrouting", "random", "weighted", "sticky")
# What an administrator, who needs no policy, sees in place of one (recorded).
_NO_POLICY = {
    "isPassing": True,
    "policyId": "dummy invalid policy: no posture checks defined",
    "policyType": "Invalid",
    "postureQueries": [],
}


# --- services


def before_save(ctx: Context, row: Service | None, values: dict[str, Any]) -> None:
    """Check the strategy and the configs: they exist, and no two have one type."""
    _check_strategy(values)
    if "configs" in ctx.body:
        _check_configs(ctx.body["configs"])


def before_fabric_save(ctx: Context, row: Service | None, values: dict[str, Any]) -> None:
    """The same for the fabric API; what it makes is no service of the edge."""
    _check_strategy(values)
    if row is None:
        values["is_fabric_only"] = True


def after_fabric_save(ctx: Context, row: Service, changed: set[str]) -> None:
    """Tell clients to look again: it may be a service of the edge."""
    roles.touch()


def _check_strategy(values: dict[str, Any]) -> None:
    if values.get("terminator_strategy") == "":
        values["terminator_strategy"] = STRATEGIES[0]
    strategy = values.get("terminator_strategy", STRATEGIES[0])
    if strategy not in STRATEGIES:
        raise not_found("terminatorStrategy", strategy, by="name")


def _check_configs(keys: list[str]) -> None:
    rows = {c.id: c for c in Config.select(Config, ConfigType).join(ConfigType).where(Config.id.in_(keys))}
    by_type: dict[str, Config] = {}
    for key in keys:
        if key not in rows:
            raise not_found("configs", key)
        config = rows[key]
        other = by_type.setdefault(config.config_type_id, config)
        if other.id != key:
            reason = (
                f"duplicate configs named {other.name} and {config.name} found for config type "
                f"{config.config_type.name}. Only one config of a given typed is allowed per service "
            )
            raise field_error("configs", reason, keys)


def after_save(ctx: Context, row: Service, changed: set[str]) -> None:
    """Keep attributes, memberships and configs."""
    if "role_attributes" in changed:
        roles.set_attributes("service", row.id, row.role_attributes)
    if "configs" in ctx.body or ctx.method in ("POST", "PUT"):
        ServiceConfig.delete().where(ServiceConfig.service == row.id).execute()
        for key in dict.fromkeys(ctx.body.get("configs") or ()):
            ServiceConfig.create(service=row.id, config=key)
    roles.touch()


def edge_only(ctx: Context) -> Any:
    """The condition for services of the edge; those made by the fabric API are not among them."""
    return ~Service.is_fabric_only


def before_delete(ctx: Context, row: Service) -> None:
    """Take the service out of every policy."""
    roles.entity_deleted("service", row.id)
    roles.touch()


def extend(ctx: Context, rows: list[Service], docs: list[dict[str, Any]]) -> None:
    """Add the configs, and what an administrator may do (everything, by no policy)."""
    configs = _configs(rows)
    wanted = _wanted_types(ctx)
    for row, doc in zip(rows, docs, strict=True):
        mine = configs.get(row.id, [])
        doc["configs"] = sorted(c.id for c in mine) or None
        doc["config"] = None
        if ctx.view == "association":
            doc |= {"permissions": None, "postureQueries": []}
            continue
        doc |= {"permissions": ["Invalid"], "postureQueries": [_NO_POLICY]}
        if ctx.view == "list":
            doc["config"] = {c.config_type.name: c.data for c in mine if _is_wanted(c, wanted)}


def _configs(rows: list[Service]) -> dict[str, list[Config]]:
    link = ServiceConfig
    found: dict[str, list[Config]] = {}
    query = (
        link.select(link, Config, ConfigType)
        .join(Config)
        .join(ConfigType)
        .where(link.service.in_([r.id for r in rows]))
    )
    for pair in query:
        found.setdefault(pair.service_id, []).append(pair.config)
    return found


def _wanted_types(ctx: Context) -> set[str]:
    """Config types that the request or the session asks for: ids, names, or `all`."""
    asked = ctx.query.get("configTypes")
    if asked:
        return set(asked.split(","))
    return set(ctx.session.config_types) if ctx.session else set()


def _is_wanted(config: Config, wanted: set[str]) -> bool:
    return "all" in wanted or config.config_type_id in wanted or config.config_type.name in wanted


# --- the caller's own services


def mine(ctx: Context) -> Any:
    """The condition for the services that the caller may dial or bind."""
    key = ctx.me.id
    return Service.id.in_(roles.services_by("Dial", key)) | Service.id.in_(roles.services_by("Bind", key))


def extend_mine(ctx: Context, rows: list[Service], docs: list[dict[str, Any]]) -> None:
    """Add the configs asked for (the caller's own instead of the service's), permissions and policies."""
    configs = _configs(rows)
    overrides = _overrides(ctx, rows)
    policies = _policies(ctx, rows)
    queries = _queries(ctx, {p.id for granted in policies.values() for p in granted})
    wanted = _wanted_types(ctx)
    for row, doc in zip(rows, docs, strict=True):
        by_type = {c.config_type.name: c for c in configs.get(row.id, [])}
        doc["configs"] = sorted(c.id for c in by_type.values()) or None
        by_type |= {c.config_type.name: c for c in overrides.get(row.id, [])}
        doc["config"] = {name: c.data for name, c in by_type.items() if _is_wanted(c, wanted)}
        granted = policies.get(row.id, [])
        doc["permissions"] = sorted({p.type for p in granted}, reverse=True)
        doc["postureQueries"] = [
            {
                "isPassing": all(q["isPassing"] for q in queries.get(p.id, [])),
                "policyId": p.id,
                "policyType": p.type,
                "postureQueries": queries.get(p.id, []),
            }
            for p in granted
        ]


def _queries(ctx: Context, policies: set[str]) -> dict[str, list[dict[str, Any]]]:
    """What each of the policies asks of the caller's endpoint, and how that stands."""
    checks = posture.checks_of(sorted(policies))
    if not checks:
        return {}
    endpoint = posture.endpoint_of(ctx.my_session)
    return {policy: [posture.query_of(c, endpoint) for c in found] for policy, found in checks.items()}


def updates(ctx: Context) -> Any:
    """GET /current-api-session/service-updates: when the caller's services last changed."""
    changed = max(roles.last_change(), posture.last_report(ctx.me.id), ctx.my_session.created_at)
    return {"lastChangeAt": time_text(changed)}


def _overrides(ctx: Context, rows: list[Service]) -> dict[str, list[Config]]:
    link = IdentityServiceConfig
    found: dict[str, list[Config]] = {}
    query = (
        link.select(link, Config, ConfigType)
        .join(Config)
        .join(ConfigType)
        .where(link.identity == ctx.me.id, link.service.in_([r.id for r in rows]))
    )
    for pair in query:
        found.setdefault(pair.service_id, []).append(pair.config)
    return found


def _policies(ctx: Context, rows: list[Service]) -> dict[str, list[ServicePolicy]]:
    found: dict[str, list[ServicePolicy]] = {}
    query = (
        PolicyMember.select(PolicyMember.entity, ServicePolicy)
        .join(ServicePolicy, on=(ServicePolicy.id == PolicyMember.policy), attr="granted")
        .where(
            PolicyMember.side == "service",
            PolicyMember.entity.in_([r.id for r in rows]),
            PolicyMember.policy.in_(roles.policies_of(ServicePolicy, "identity", ctx.me.id)),
        )
        .order_by(ServicePolicy.id)
    )
    for member in query:
        found.setdefault(member.entity, []).append(member.granted)
    return found


# --- config types and configs


def before_type_save(ctx: Context, row: ConfigType | None, values: dict[str, Any]) -> None:
    """The schema must be a JSON Schema; a target that is left out is `service`."""
    if row is None:
        values["target"] = values.get("target") or "service"
    schema = values.get("schema")
    if schema is None:
        return
    if not isinstance(schema, dict):
        raise field_error("schema", f'schema in body must be of type object: "{go_text(schema)}"', schema)
    schema_errors.check_schema(schema)


def before_type_delete(ctx: Context, row: ConfigType) -> None:
    """Not while a config is of this type."""
    used = Config.select(Config.id).where(Config.config_type == row.id)
    if used.exists():
        keys = [c.id for c in used.limit(20)]
        cause = {
            "field": "type",
            "reason": f"entity type configType referenced by config: {go_text(keys)}",
            "value": go_text(keys),
        }
        raise ApiError("CAN_NOT_DELETE_REFERENCED_ENTITY", cause)


def before_config_save(ctx: Context, row: Config | None, values: dict[str, Any]) -> None:
    """The data must be an object that the type's schema accepts."""
    if row is None:
        config_type = ConfigType.get_or_none(ConfigType.id == values["config_type"])
        if config_type is None:
            raise field_error("type", "invalid config type", values["config_type"])
    else:
        config_type = row.config_type
    data = values.get("data") if row is None or "data" in values else row.data
    if not isinstance(data, dict):
        raise field_error("data", "invalid type, expected object", data)
    if config_type.schema:
        schema_errors.check_data(config_type.schema, data)


def after_config_save(ctx: Context, row: Config, changed: set[str]) -> None:
    """Tell clients to look at their services again."""
    roles.touch()


def before_config_delete(ctx: Context, row: Config) -> None:
    """The same."""
    roles.touch()


def extend_config(ctx: Context, rows: list[Config], docs: list[dict[str, Any]]) -> None:
    """Add the config's type."""
    wanted = {r.config_type_id for r in rows}
    types = {t.id: t for t in ConfigType.select().where(ConfigType.id.in_(wanted))}
    for row, doc in zip(rows, docs, strict=True):
        t = types[row.config_type_id]
        reference = {"_links": links("config-types", t.id), "entity": "config-types", "id": t.id, "name": t.name}
        doc |= {"configType": reference, "configTypeId": t.id}


ACTIONS = (
    Action(
        "GET",
        "/current-api-session/service-updates",
        updates,
        "session",
        (CLIENT,),
        summary="When the caller's services last changed",
    ),
)
