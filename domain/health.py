"""Whether the store can be used."""

from __future__ import annotations

from models import Meta


def read_check() -> None:
    """Read one row. Raises peewee's DatabaseError when the database does not answer."""
    Meta.select(Meta.key).limit(1).tuples().first()
