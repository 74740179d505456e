"""Names of identities that a CA makes by itself: the format and what happens on a collision.

The seeds: a format with five replacements, and "if a collision occurs, incrementing numbers are
appended": `n`, `n000001`, `n000002`, `n000003`.
"""

from __future__ import annotations

import re

import pki
from models import Ca, Identity, NameCounter
from prepared import Prepared

_PLACES = re.compile(r"\[(caName|caId|commonName|requestedName|identityId)\]")


def of_auto_identity(ca: Ca, leaf: pki.Cert, identity_id: str, requested: str | None) -> str:
    """Fill in the CA's `identityNameFormat`. Without a requested name the identity's id stands for it.

    Anything else in brackets stays as it is; a name that comes out empty becomes the identity's id.
    """
    values = {
        "caName": ca.name,
        "caId": ca.id,
        "commonName": leaf.common_name,
        "requestedName": requested or identity_id,
        "identityId": identity_id,
    }
    return _PLACES.sub(lambda m: values[m[1]], ca.identity_name_format) or identity_id


def free(wanted: str) -> str:
    """`wanted`, or with the next number of six digits appended when it is taken.

    Needs the write transaction in which the name is then used. The last number is remembered, so the
    500th device of one name costs as little as the second.
    """
    name, number = next_free(wanted)
    take(wanted, number)
    return name


def take(wanted: str, number: int) -> None:
    """Remember the last number appended to a name. Needs the write transaction that uses it."""
    if number:
        NameCounter.replace(name=wanted, last=number).execute()


def next_free(wanted: str) -> tuple[str, int]:
    """The name that `free` would give, without taking it, and the number appended; 0 for none."""
    if not _taken(wanted):
        return wanted, 0
    last = _LAST.first(wanted)
    number = last[0] if last else 0
    while True:
        number += 1
        name = f"{wanted}{number:06d}"
        if not _taken(name):
            return name, number


def _taken(name: str) -> bool:
    return _TAKEN.first(name) is not None


_TAKEN = Prepared(lambda name: Identity.select(Identity.id).where(Identity.name == name))
_LAST = Prepared(lambda wanted: NameCounter.select(NameCounter.last).where(NameCounter.name == wanted))
