"""Enrollments going on while something breaks, and what must be true afterwards."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import requests

from tests.certificates import csr
from tests.controllers import CLIENT, Api, Controller
from tests.flows import PEM, enroll, read_chain, sql, unique

OWN = "/zitilite/v1"
# One key for all: what is tested is the server.
PEM_TEXT, _ = csr()


def tokens(api: Api, count: int, word: str = "load") -> list[tuple[str, str]]:
    """Make identities with a pending ott; gives (id, token) of each."""
    names = [unique(word) for _ in range(count)]
    rows = [{"name": name, "type": "Default", "isAdmin": False, "enrollment": {"ott": True}} for name in names]
    made = api.on(OWN).post("/bulk", {"action": "create", "rows": rows})
    assert made.status in (200, 201), made
    known = set(names)
    listed = api.get("/identities", filter=f'name contains "{word}-" limit 5000').ok()
    return [(i["id"], i["enrollment"]["ott"]["token"]) for i in listed if i["name"] in known]


@dataclass
class Acknowledged:
    """What clients were told: identity -> (token, fingerprint of the certificate)."""

    certificates: dict[str, tuple[str, str]] = field(default_factory=dict)
    enough: threading.Event = field(default_factory=threading.Event)
    refused: list[tuple[int, str | None]] = field(default_factory=list)

    def take(self, key: str, token: str, pem: str) -> None:
        self.certificates[key] = (token, read_chain(pem).fingerprint)


def work(client: Api, told: Acknowledged, lot: Sequence[tuple[str, str]], enough: int) -> None:
    """Enroll one after the other until the server is gone."""
    with contextlib.suppress(requests.RequestException):
        for key, token in lot:
            answer = enroll(client, "ott", token, PEM_TEXT, PEM)
            if answer.status == 200:
                told.take(key, token, answer.data["cert"])
            else:
                told.refused.append((answer.status, answer.code))
            if len(told.certificates) >= enough:
                told.enough.set()
    told.enough.set()


@contextlib.contextmanager
def enrolling(clients: Sequence[Api], waiting: Sequence[tuple[str, str]], enough: int) -> Iterator[Acknowledged]:
    """Enroll with all clients at once; the block begins when so many were answered."""
    told = Acknowledged()
    threads = [
        threading.Thread(target=work, args=(client, told, waiting[number :: len(clients)], enough))
        for number, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    assert told.enough.wait(60)
    try:
        yield told
    finally:
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()


def check_whole(server: Controller) -> None:
    """The file is sound, and nothing in it is half."""
    with closing(sqlite3.connect(server.data / "zitilite.db", timeout=20)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    nothing = {
        "an authenticator without its identity": "SELECT count(*) FROM authenticator "
        "WHERE identity_id NOT IN (SELECT id FROM identity)",
        "a token that is spent and pending": "SELECT count(*) FROM authenticator "
        "JOIN enrollment USING (identity_id) WHERE enrollment.method = 'ott'",
        "two certificates from one token": "SELECT count(*) FROM (SELECT identity_id FROM authenticator "
        "WHERE method = 'cert' GROUP BY identity_id HAVING count(*) > 1)",
    }
    for what, statement in nothing.items():
        assert sql(server, statement) == [(0,)], what


def check_acknowledged(server: Controller, told: Acknowledged, lot: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Nothing that was answered is lost, and of the rest each token is either pending or spent; gives the pending."""
    stored = dict(sql(server, "SELECT identity_id, cert_fingerprint FROM authenticator WHERE method = 'cert'"))
    waiting = {token for (token,) in sql(server, "SELECT token FROM enrollment")}
    for key, (token, fingerprint) in told.certificates.items():
        assert stored.get(key) == fingerprint, f"the certificate of {key} was answered and is lost"
        assert token not in waiting, f"the token of {key} was spent and is pending"
    for key, token in lot:
        assert (key in stored) != (token in waiting), f"{key}: never both, never neither"
    return [(key, token) for key, token in lot if token in waiting]


def check_still_works(server: Controller, api: Api) -> None:
    """Somebody new can enroll."""
    [(key, token)] = tokens(api, 1, "after")
    answer = enroll(server.api().on(CLIENT), "ott", token, PEM_TEXT, PEM)
    assert answer.status == 200, answer
    assert sql(server, "SELECT count(*) FROM authenticator WHERE identity_id = ?", key) == [(1,)]
