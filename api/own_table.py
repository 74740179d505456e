"""The table of our own API, `/zitilite/v1`: what upstream has no place for, in the same manner as its rows.

Each row and action needs a full administrator unless it says otherwise.
"""

from __future__ import annotations

from domain.care import attempts, audit
from models import Attempt, Audit
from wire.resource import INT, OBJECT, OPTIONAL_TEXT, OWN, TEXT, Entity, Field, Kind


def _shown(name: str, kind: Kind = TEXT, column: str = "") -> Field:
    return Field(name, kind, body="", column=column)


ENTITIES: tuple[Entity, ...] = (
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
