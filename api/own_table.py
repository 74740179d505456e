"""The table of our own API, `/zitilite/v1`: what upstream has no place for, in the same manner as its rows.

Each row and action needs a full administrator unless it says otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from api import care_table
from api.entities import TABLE as UPSTREAM
from domain.care import attempts, audit, ca_people, people, shares, states
from domain.logins import api_tokens
from models import ApiToken, Attempt, Audit, Router, Share
from wire.filter_sql import Symbol
from wire.resource import INT, OBJECT, OPTIONAL_TEXT, OWN, TEXT, TIME, Entity, Field, Kind


def _own(upstream: Entity, filterable: tuple[str, ...], **changes: Any) -> Entity:
    """An upstream row for reading, with more properties and the names of these in its filters."""
    fields = (*upstream.fields, Field("enrolledAddress", OPTIONAL_TEXT, body=""))
    names = (*filterable, "enrolledAddress")
    return replace(upstream, bases=(OWN,), verbs="lg", associations=(), fields=fields, filterable=names, **changes)


def _shown(name: str, kind: Kind = TEXT, column: str = "") -> Field:
    return Field(name, kind, body="", column=column)


_IDENTITIES, _EDGE_ROUTERS = UPSTREAM["identities"], UPSTREAM["edge-routers"]

ENTITIES: tuple[Entity, ...] = (
    *care_table.ENTITIES,
    _own(
        _IDENTITIES,
        (*_IDENTITIES.filterable, *states.NAMES, "caId"),
        symbols={**_IDENTITIES.symbols, "caId": Symbol("string", ca_people.origin())},
        extend=people.extend_identities,
    ),
    _own(
        _EDGE_ROUTERS,
        (*_EDGE_ROUTERS.filterable, *states.NAMES, "kind"),
        path="routers",
        symbols={**_EDGE_ROUTERS.symbols, "kind": Symbol("string", Router.kind)},
        scope=None,
        extend=people.extend_routers,
    ),
    Entity(
        "api-tokens",
        "apiToken",
        ApiToken,
        "ApiToken",
        (
            Field("name", api_tokens.NAME, body="up", required="u"),
            Field("scope", api_tokens.SCOPE, body=""),
            Field("expiresAt", TIME, body="up", required="u"),
            Field("prefix", body=""),
            Field("lastUsedAt", TIME, body=""),
            Field("lastUsedFrom", body=""),
            Field("identityId", body="", column="identity_id", filterable=False),
            Field("createdBy", body=""),
        ),
        bases=(OWN,),
        verbs="lgupd",
        open_to="session",
        symbols={"identityId": Symbol("string", ApiToken.identity), "identity": Symbol("string", ApiToken.identity)},
        scope=api_tokens.mine,
        before_save=api_tokens.before_save,
        extend=api_tokens.extend,
    ),
    Entity(
        "shares",
        "share",
        Share,
        "Share",
        (
            _shown("enrollmentId", column="enrollment_id"),
            _shown("expiresAt", TIME),
            _shown("createdBy"),
            _shown("openedCount", INT),
            _shown("openedAt", TIME),
            _shown("openedFrom", OPTIONAL_TEXT),
        ),
        bases=(OWN,),
        verbs="lgd",
        permission="enrollment",
        symbols={"enrollmentId": Symbol("string", Share.enrollment)},
        scope=shares.visible,
        extend=shares.extend,
    ),
    Entity(
        "attempts",
        "attempt",
        Attempt,
        "Attempt",
        (
            _shown("kind"),
            _shown("method"),
            _shown("outcome"),
            _shown("code"),
            _shown("reason"),
            _shown("sourceAddress"),
            _shown("identityId", OPTIONAL_TEXT, "identity"),
            _shown("identityName", OPTIONAL_TEXT),
            _shown("routerId", OPTIONAL_TEXT, "router"),
            _shown("routerName", OPTIONAL_TEXT),
            _shown("caId", OPTIONAL_TEXT, "ca"),
            _shown("caName", OPTIONAL_TEXT),
            _shown("enrollmentId", OPTIONAL_TEXT, "enrollment"),
            _shown("tokenPrint", OPTIONAL_TEXT),
            _shown("subject", OPTIONAL_TEXT),
            _shown("issuer", OPTIONAL_TEXT),
            _shown("fingerprint", OPTIONAL_TEXT),
            _shown("serial", OPTIONAL_TEXT),
            _shown("durationMicros", INT, "duration_us"),
            _shown("requestId"),
        ),
        bases=(OWN,),
        verbs="lg",
        permission="ops",
        scope=attempts.fresh,
        is_log=True,
    ),
    Entity(
        "audit",
        "audit row",
        Audit,
        "AuditRow",
        (
            _shown("actorKind"),
            _shown("actorId", OPTIONAL_TEXT, "actor"),
            _shown("actorName", OPTIONAL_TEXT),
            _shown("sourceAddress"),
            _shown("method"),
            _shown("path"),
            _shown("entity"),
            _shown("entityId", OPTIONAL_TEXT),
            _shown("entityName", OPTIONAL_TEXT),
            _shown("verb"),
            _shown("before", OBJECT),
            _shown("after", OBJECT),
            _shown("requestId"),
        ),
        bases=(OWN,),
        verbs="lg",
        permission="ops",
        extend=audit.extend,
        is_log=True,
    ),
)
TABLE: dict[str, Entity] = {entity.path: entity for entity in ENTITIES}
