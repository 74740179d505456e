"""Who a policy stands for: role attributes, `#all`, `@id`, AnyOf and AllOf.

Memberships are kept in `PolicyMember`, brought up to date in the transaction that changes a policy or
an entity, so that a list of somebody's services is one indexed query. `AllOf` means all the
attributes; the `@ids` of a policy are always added, whatever the semantic (recorded, topic `policies`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

import peewee as pw

import store
from models import (
    EdgeRouterPolicy,
    Identity,
    IdentityAttribute,
    Meta,
    PolicyMember,
    PolicyRole,
    PostureCheck,
    PostureCheckAttribute,
    Router,
    RouterAttribute,
    Service,
    ServiceAttribute,
    ServiceEdgeRouterPolicy,
    ServicePolicy,
)
from prepared import Prepared, insert, members
from wire.errors import ApiError, field_error
from wire.resource import now_ms

ALL = "#all"
# side -> (entity, index of its attributes, its name in the API's errors)
SIDES: dict[str, tuple[Any, Any, str]] = {
    "identity": (Identity, IdentityAttribute, "identities"),
    "service": (Service, ServiceAttribute, "services"),
    "router": (Router, RouterAttribute, "routers"),
    "posture": (PostureCheck, PostureCheckAttribute, "postureChecks"),
}
# policy model -> its role lists as (side, column, JSON name)
LISTS: dict[Any, tuple[tuple[str, str, str], ...]] = {
    ServicePolicy: (
        ("identity", "identity_roles", "identityRoles"),
        ("service", "service_roles", "serviceRoles"),
        ("posture", "posture_check_roles", "postureCheckRoles"),
    ),
    EdgeRouterPolicy: (
        ("identity", "identity_roles", "identityRoles"),
        ("router", "edge_router_roles", "edgeRouterRoles"),
    ),
    ServiceEdgeRouterPolicy: (
        ("service", "service_roles", "serviceRoles"),
        ("router", "edge_router_roles", "edgeRouterRoles"),
    ),
}


def kind_of(model: Any) -> str:
    """The name of a model's table; that of a policy is its kind in the index tables."""
    return str(model._meta.table_name)  # noqa: SLF001 - peewee's own registry


def last_change() -> int:
    """When somebody's set of services may last have changed; milliseconds since the epoch."""
    row = Meta.get_or_none(Meta.key == "services_changed_at")
    return int(row.value) if row else 0


_TOUCH = Prepared(lambda value: Meta.replace(key="services_changed_at", value=value))


def touch() -> None:
    """Note that services, configs or policies changed: clients poll for it."""
    store.at_the_end(_note_change)


def _note_change() -> None:
    _TOUCH.execute(str(now_ms()))


# --- checking what a request names


def check_roles(name: str, side: str, roles: Sequence[str]) -> None:
    """Refuse roles without prefix, `#all` beside others, and ids that do not exist."""
    if any(r[:1] not in ("#", "@") for r in roles):
        reason = "role entries must prefixed with # (to indicate role attributes) or @ (to indicate a name or id)"
        raise field_error(name, reason, [r for r in roles if r[:1] not in ("#", "@")])
    if ALL in roles and len(roles) > 1:
        raise field_error(name, "if using #all, it should be the only role specified", list(roles))
    ids = [r[1:] for r in roles if r[0] == "@"]
    if not ids:
        return
    entity, _, plural = SIDES[side]
    known = {row.id for row in entity.select(entity.id).where(entity.id.in_(ids), eligible(side))}
    unknown = [i for i in ids if i not in known]
    if unknown:
        raise field_error(name, f"no {plural} found with the given ids", unknown)


def check_policy(model: Any, values: dict[str, Any]) -> None:
    """Check each role list that a request sets."""
    for side, column, name in LISTS[model]:
        if column in values:
            check_roles(name, side, values[column])


# --- keeping memberships


def set_attributes(side: str, key: str, attributes: Sequence[str]) -> None:
    """Rewrite the attribute index of one entity and its memberships."""
    _, index, _ = SIDES[side]
    _attributes_of(index).execute(key)
    for attribute in attributes:
        insert(index(entity=key, attribute=attribute))
    entity_changed(side, key, attributes)


@functools.cache
def _attributes_of(index: Any) -> Prepared:
    return Prepared(lambda key: index.delete().where(index.entity == key))


def policy_changed(model: Any, row: Any) -> None:
    """Rewrite the role index and the members of one policy."""
    kind = kind_of(model)
    forget_policy(row.id)
    match_all = row.semantic == "AllOf"
    for side, column, _ in LISTS[model]:
        roles = getattr(row, column)
        if roles:
            named = [
                {"side": side, "role": r, "policy": row.id, "policy_kind": kind, "match_all": match_all} for r in roles
            ]
            PolicyRole.insert_many(named).execute()
            _add_members(row.id, kind, side, roles, match_all=match_all)
    touch()


def forget_policy(key: str) -> None:
    """Remove a policy from both index tables."""
    PolicyRole.delete().where(PolicyRole.policy == key).execute()
    PolicyMember.delete().where(PolicyMember.policy == key).execute()


def _add_members(key: str, kind: str, side: str, roles: Sequence[str], *, match_all: bool) -> None:
    entity = SIDES[side][0]
    condition = _condition(side, roles, match_all=match_all)
    chosen = entity.select(pw.Value(key), pw.Value(kind), pw.Value(side), entity.id).where(condition)
    columns = [PolicyMember.policy, PolicyMember.policy_kind, PolicyMember.side, PolicyMember.entity]
    PolicyMember.insert_from(chosen, columns).execute()


def _condition(side: str, roles: Sequence[str], *, match_all: bool) -> Any:
    entity, index, _ = SIDES[side]
    return matching(entity, index, roles, match_all=match_all) & eligible(side)


def eligible(side: str) -> Any:
    """The condition that an entity can be in a policy at all: what only the fabric knows cannot."""
    if side == "router":
        return Router.kind == "edge"
    if side == "service":
        return ~Service.is_fabric_only
    return ~SIDES[side][0].id.is_null()


def ids_of(side: str) -> set[str]:
    """Everybody who can be in a policy on that side."""
    entity = SIDES[side][0]
    return {key for (key,) in entity.select(entity.id).where(eligible(side)).tuples()}


def expected_members(policy: Any, side: str, roles: Sequence[str]) -> set[str]:
    """Who a policy's list stands for, worked out anew."""
    if not roles:
        return set()
    entity = SIDES[side][0]
    condition = _condition(side, roles, match_all=policy.semantic == "AllOf")
    return {key for (key,) in entity.select(entity.id).where(condition).tuples()}


def matching(entity: Any, index: Any, roles: Sequence[str], *, match_all: bool) -> Any:
    """The condition that an entity is meant by `roles`."""
    if ALL in roles:
        return ~entity.id.is_null()
    ids = [r[1:] for r in roles if r[0] == "@"]
    attributes = [r[1:] for r in roles if r[0] == "#"]
    condition = entity.id.in_(ids)
    if attributes:
        having = index.select(index.entity).where(index.attribute.in_(attributes))
        if match_all:
            having = having.group_by(index.entity).having(pw.fn.COUNT(index.attribute) == len(set(attributes)))
        condition |= entity.id.in_(having)
    return condition


_LEAVE_ALL = Prepared(
    lambda side, key: PolicyMember.delete().where(PolicyMember.side == side, PolicyMember.entity == key)
)
_MATCHED = Prepared(
    lambda side, roles: PolicyRole.select().where(PolicyRole.side == side, PolicyRole.role.in_(members(roles))),
    PolicyRole,
)


def entity_changed(side: str, key: str, attributes: Sequence[str]) -> None:
    """Rewrite the memberships of one entity whose attributes are as given."""
    _LEAVE_ALL.execute(side, key)
    mine = [ALL, f"@{key}", *(f"#{a}" for a in attributes)]
    by_policy: dict[str, list[Any]] = {}
    for role in _MATCHED.all(side, json.dumps(mine)):
        by_policy.setdefault(role.policy, []).append(role)
    joined = [
        {"policy": policy, "side": side, "entity": key, "policy_kind": roles[0].policy_kind}
        for policy, roles in by_policy.items()
        if _is_member(side, roles)
    ]
    if joined:
        PolicyMember.insert_many(joined).execute()


def _is_member(side: str, matched: list[Any]) -> bool:
    """Whether the roles of one policy that an entity matches make it a member."""
    if not matched[0].match_all or any(r.role == ALL or r.role[0] == "@" for r in matched):
        return True
    wanted = PolicyRole.select().where(
        PolicyRole.policy == matched[0].policy, PolicyRole.side == side, PolicyRole.role.startswith("#")
    )
    return bool(wanted.count() == len(matched))


def entity_deleted(side: str, key: str) -> None:
    """Take an entity out of every policy that names it; `@id` vanishes from their lists."""
    PolicyMember.delete().where(PolicyMember.side == side, PolicyMember.entity == key).execute()
    role = f"@{key}"
    naming = PolicyRole.select().where(PolicyRole.side == side, PolicyRole.role == role)
    named = {(r.policy_kind, r.policy) for r in naming}
    for model, lists in LISTS.items():
        for list_side, column, _ in lists:
            keys = [p for kind, p in named if kind == kind_of(model)]
            if list_side == side and keys:
                for row in model.select().where(model.id.in_(keys)):
                    left = [r for r in getattr(row, column) if r != role]
                    model.update({getattr(model, column): left}).where(model.id == row.id).execute()
    PolicyRole.delete().where(PolicyRole.side == side, PolicyRole.role == role).execute()


# --- asking


def members_of(policy: str, side: str) -> Any:
    """Subquery: ids of the entities on one side of a policy."""
    return PolicyMember.select(PolicyMember.entity).where(PolicyMember.policy == policy, PolicyMember.side == side)


def policies_of(model: Any, side: str, key: str) -> Any:
    """Subquery: ids of the policies of one kind that an entity is a member of."""
    return PolicyMember.select(PolicyMember.policy).where(
        PolicyMember.side == side, PolicyMember.entity == key, PolicyMember.policy_kind == kind_of(model)
    )


def reachable(model: Any, side: str, key: str, other: str) -> Any:
    """Subquery: ids on side `other` of the policies that an entity is a member of."""
    return PolicyMember.select(PolicyMember.entity).where(
        PolicyMember.policy.in_(policies_of(model, side, key)), PolicyMember.side == other
    )


def service_policies_by(policy_type: str, identity: str) -> Any:
    """Subquery: ids of the Dial or Bind policies that an identity is a member of."""
    return ServicePolicy.select(ServicePolicy.id).where(
        ServicePolicy.type == policy_type, ServicePolicy.id.in_(policies_of(ServicePolicy, "identity", identity))
    )


def services_by(policy_type: str, identity: str) -> Any:
    """Subquery: ids of the services that an identity may dial or bind."""
    return PolicyMember.select(PolicyMember.entity).where(
        PolicyMember.policy.in_(service_policies_by(policy_type, identity)), PolicyMember.side == "service"
    )


def by_filter(side: str, wanted: Sequence[str], semantic: str) -> Any:
    """The condition of the list parameters `roleFilter` (several) and `roleSemantic` (AllOf or AnyOf)."""
    for role in wanted:
        if role[:1] not in ("#", "@"):
            reason = f"'{role}' is neither role attribute (prefixed with #) or an entity id or name (prefixed with @)"
            raise field_error("roleFilter", reason, role)
    entity, index, _ = SIDES[side]
    names = [r[1:] for r in wanted if r[0] == "@"]
    condition = matching(entity, index, wanted, match_all=semantic == "AllOf")
    return condition | entity.name.in_(names) if names else condition


def display(roles: Sequence[str], side: str) -> list[dict[str, str]]:
    """`…RolesDisplay`: each role with the name in place of the id."""
    ids = [r[1:] for r in roles if r[0] == "@"]
    entity = SIDES[side][0]
    names = {row.id: row.name for row in entity.select(entity.id, entity.name).where(entity.id.in_(ids))} if ids else {}
    return [{"name": f"@{names.get(r[1:], r[1:])}" if r[0] == "@" else r, "role": r} for r in roles]


# --- hooks of the policy rows


def before_policy_save(model: Any) -> Any:
    """The hook that checks a policy's lists."""

    def check(ctx: Any, row: Any, values: dict[str, Any]) -> None:
        if row is not None and row.is_system:
            raise _system_policy("ENTITY_CAN_NOT_BE_UPDATED", "update", row)
        if values.get("type") == "Invalid":
            raise field_error("policyType", "invalid policy type. valid types are 'Dial' and 'Bind'", "Invalid")
        check_policy(model, values)

    return check


def after_policy_save(model: Any) -> Any:
    """The hook that rewrites a policy's members."""

    def rewrite(ctx: Any, row: Any, changed: set[str]) -> None:
        if changed & {"semantic", "type", *(column for _, column, _ in LISTS[model])}:
            policy_changed(model, row)

    return rewrite


def before_policy_delete(ctx: Any, row: Any) -> None:
    """System policies stay with their router; members of others go."""
    if row.is_system:
        raise _system_policy("ENTITY_CAN_NOT_BE_DELETED", "delete", row)
    forget_policy(row.id)
    touch()


def _system_policy(code: str, verb: str, row: Any) -> ApiError:
    return ApiError(code, f"cannot {verb} system edgeRouterPolicy in a non-system context (id={row.id})")


def extend_policy(model: Any) -> Any:
    """The hook that adds the named roles to a policy's answer."""

    def extend(ctx: Any, rows: list[Any], docs: list[dict[str, Any]]) -> None:
        for row, doc in zip(rows, docs, strict=True):
            for side, column, name in LISTS[model]:
                doc[f"{name}Display"] = display(getattr(row, column), side)

    return extend
