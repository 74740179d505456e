"""The table of our own API, `/zitilite/v1`: what upstream has no place for, in the same manner as its rows.

Each row and action needs a full administrator unless it says otherwise.
"""

from __future__ import annotations

from api import care_table
from domain.logins import api_tokens
from models import ApiToken
from wire.filter_sql import Symbol
from wire.resource import OWN, TIME, Entity, Field

ENTITIES: tuple[Entity, ...] = (
    *care_table.ENTITIES,
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
)
TABLE: dict[str, Entity] = {entity.path: entity for entity in ENTITIES}
