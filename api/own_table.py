"""The table of our own API, `/zitilite/v1`: what upstream has no place for, in the same manner as its rows.

Each row and action needs a full administrator unless it says otherwise.
"""

from __future__ import annotations

from api import care_table
from wire.resource import Entity

ENTITIES: tuple[Entity, ...] = (*care_table.ENTITIES,)
TABLE: dict[str, Entity] = {entity.path: entity for entity in ENTITIES}
