"""The table's rows for what exists while a network is in use.

Posture checks, terminators, sessions, revocations and controller settings; `api.entities` adds them to the table.
"""

from __future__ import annotations

from typing import Any

from domain import controller_settings, ids, revocations
from domain.network import posture_checks, sessions, terminators
from models import ControllerSetting, PostureCheck, PostureCheckAttribute, Revocation, Session, Terminator
from wire.filter_sql import Symbol
from wire.resource import (
    ATTRIBUTES,
    CLIENT,
    COST,
    INT,
    MANAGEMENT,
    TEXT,
    TIME,
    Entity,
    Field,
    Kind,
    enum,
)

PRECEDENCE = enum("default", "required", "failed", go_type="rest_model.TerminatorPrecedence")
# Unlike everywhere else, no attributes read [] here (recorded).
_ATTRIBUTES = Kind("roles", ATTRIBUTES.schema, ATTRIBUTES.go_type, ATTRIBUTES.decode, list, "set", [])
TERMINATOR_FIELDS = (
    Field("service", required="cu", shown=False, filterable=False),
    Field("router", required="cu", shown=False, filterable=False),
    Field("address", required="cu"),
    Field("binding", required="cu"),
    Field("cost", COST, filterable=False),
    Field("precedence", PRECEDENCE, default="default", filterable=False),
)


def terminator(fields: tuple[Field, ...], **more: Any) -> Entity:
    """A terminator's row; the two APIs name some of its properties differently."""
    return Entity(
        "terminators",
        "terminator",
        Terminator,
        "Terminator",
        (*TERMINATOR_FIELDS, *fields),
        new_id=ids.long_id,
        symbols=terminators.SYMBOLS,
        before_save=terminators.before_save,
        **more,
    )


_EDGE_TERMINATOR = (
    Field("identity", TEXT, body="c", column="instance_id", filterable=False),
    Field("identitySecret", TEXT, body="c", column="instance_secret", shown=False, filterable=False),
)


def _sessions(base: str, **more: Any) -> Entity:
    return Entity(
        "sessions",
        "session",
        Session,
        "Session",
        (Field("type", body=""),),
        bases=(base,),
        verbs="lgd",
        links=("route-path",),
        symbols={
            "apiSession": Symbol("string", Session.api_session),
            "service": Symbol("string", Session.service),
            "token": Symbol("string", Session.id),
        },
        extend=sessions.extend,
        **more,
    )


def _property(kind: Any, name: str) -> Symbol:
    return Symbol.json_path(kind, PostureCheck.properties, name)


ENTITIES: tuple[Entity, ...] = (
    Entity(
        "posture-checks",
        "postureCheck",
        PostureCheck,
        "PostureCheck",
        (
            Field("name", required="cu"),
            Field("typeId", column="type"),
            Field("roleAttributes", _ATTRIBUTES),
            Field("version", INT, body="", filterable=False),
        ),
        permission="posture-check",
        side="posture",
        new_id=ids.long_id,
        symbols={
            "roleAttributes": Symbol.set_of(
                PostureCheck.id, PostureCheckAttribute.entity, PostureCheckAttribute.attribute
            ),
            "promptOnWake": _property("bool", "promptOnWake"),
            "promptOnUnlock": _property("bool", "promptOnUnlock"),
        },
        variants=posture_checks.VARIANTS,
        before_save=posture_checks.before_save,
        after_save=posture_checks.after_save,
        before_delete=posture_checks.before_delete,
        extend=posture_checks.extend,
    ),
    terminator(_EDGE_TERMINATOR, permission="terminator", extend=terminators.extend),
    _sessions(MANAGEMENT, permission="ops", scope=sessions.live),
    _sessions(CLIENT, open_to="session", scope=sessions.mine),
    Entity(
        "revocations",
        "revocation",
        Revocation,
        "Revocation",
        (
            Field("id", body="c", required="c", shown=False, filterable=False),
            Field("type", enum(*revocations.TYPES, go_type="rest_model.RevocationTypeEnum"), body="c", required="c"),
            Field("expiresAt", TIME, body=""),
        ),
        verbs="lgc",
        symbols={"issuedBefore": Symbol("datetime", Revocation.created_at)},
        before_save=revocations.before_save,
    ),
    Entity(
        "controller-settings",
        "controllerSetting",
        ControllerSetting,
        "ControllerSetting",
        (
            Field("controllerId", body="c", required="c", column="id", shown=False, filterable=False),
            Field("oidc", controller_settings.OIDC, filterable=False),
        ),
        verbs="lgc",
        links=("effective",),
        before_save=controller_settings.before_save,
    ),
)
