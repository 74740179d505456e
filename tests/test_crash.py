"""A power cut at any moment: what was answered stays true, what was spent stays spent."""

from __future__ import annotations

import random
import sqlite3
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field

import pytest
import requests

from tests.certificates import csr
from tests.controllers import CLIENT, Api, Controller
from tests.flows import PEM, enroll, identity_body, read_chain, sql

ROUNDS = 20
WORKERS = 4
EACH = 5


@dataclass
class Answers:
    """What the clients were told: tokens and certificates that were answered, by identity."""

    certificates: dict[str, tuple[str, str]] = field(default_factory=dict)
    answered: threading.Event = field(default_factory=threading.Event)


def work(client: Api, answers: Answers, lot: list[tuple[str, str]], pem: str, enough: int) -> None:
    """Enroll one identity after the other until the server is gone."""
    with suppress(requests.RequestException):
        for key, token in lot:
            answer = enroll(client, "ott", token, pem, PEM)
            assert answer.status == 200, answer
            answers.certificates[key] = (token, read_chain(answer.data["cert"]).fingerprint)
            if len(answers.certificates) >= enough:
                answers.answered.set()


def prepare(server: Controller, api: Api) -> list[list[tuple[str, str]]]:
    """Identities and tokens for each worker."""
    keys = [api.create("/identities", identity_body(enrollment={"ott": True})) for _ in range(WORKERS * EACH)]
    tokens = dict(sql(server, "SELECT identity_id, token FROM enrollment"))
    return [[(key, tokens[key]) for key in keys[number::WORKERS]] for number in range(WORKERS)]


def crash(
    server: Controller, api: Api, lots: list[list[tuple[str, str]]], pem: str, enough: int, delay: float
) -> Answers:
    """Let the workers enroll, and kill the server a moment after so many answers."""
    answers = Answers()
    clients = [api.on(CLIENT) for _ in lots]
    threads = [
        threading.Thread(target=work, args=(client, answers, lot, pem, enough))
        for client, lot in zip(clients, lots, strict=True)
    ]
    for thread in threads:
        thread.start()
    assert answers.answered.wait(30)
    # The moment is part of the test: it may fall anywhere between two steps of a request.
    threading.Event().wait(delay)
    server.kill()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return answers


def check(server: Controller) -> None:
    """The file is whole, and nothing in it hangs in the air."""
    with closing(sqlite3.connect(server.data / "zitilite.db", timeout=20)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    orphans = "SELECT count(*) FROM authenticator WHERE identity_id NOT IN (SELECT id FROM identity)"
    assert sql(server, orphans) == [(0,)]
    both = "SELECT count(*) FROM authenticator JOIN enrollment USING (identity_id) WHERE enrollment.method = 'ott'"
    assert sql(server, both) == [(0,)]


@pytest.mark.timeout(240)
def test_kill_during_enrollments(make_controller):
    """20 times kill -9 at a random moment: no spent token is usable, every answered certificate is known."""
    server = make_controller()
    chance = random.Random(20261122)
    (pem, _), (other, _) = csr(), csr()
    api = server.admin()
    for _ in range(ROUNDS):
        lots = prepare(server, api)
        answers = crash(server, api, lots, pem, enough=chance.randint(1, 8), delay=chance.uniform(0, 0.03))
        server.start()
        check(server)
        stored = dict(sql(server, "SELECT identity_id, cert_fingerprint FROM authenticator WHERE method = 'cert'"))
        waiting = {token for (token,) in sql(server, "SELECT token FROM enrollment")}
        client = api.on(CLIENT)
        for key, (token, fingerprint) in answers.certificates.items():
            assert stored[key] == fingerprint
            assert enroll(client, "ott", token, other, PEM).code == "INVALID_ENROLLMENT_TOKEN"
            assert read_chain(enroll(client, "ott", token, pem, PEM).ok()["cert"]).fingerprint == fingerprint
        for lot in lots:
            for key, token in lot:
                # Spent without an answer, or not spent at all: never both, never neither.
                assert (key in stored) != (token in waiting)
        unanswered = [token for lot in lots for key, token in lot if token in waiting]
        if unanswered:
            enroll(client, "ott", unanswered[0], pem, PEM).ok()
