"""A power cut at any moment, a hundred times: what was answered stays true, what was spent stays spent."""

from __future__ import annotations

import random
import threading

import pytest

from tests.certificates import csr
from tests.controllers import CLIENT
from tests.faults.load import PEM_TEXT, check_acknowledged, check_whole, enrolling, tokens
from tests.flows import PEM, enroll, read_chain, sql

ROUNDS = 100
CLIENTS = 4
EACH = 12


@pytest.mark.timeout(400)
def test_a_hundred_kills_during_enrollments(quick):
    """100 times kill -9 at a random moment while four clients enroll; after each restart all is as they were told."""
    server = quick("--limit-address", "0")
    server.start()
    chance = random.Random(20261122)
    api = server.admin()
    clients = [api.on(CLIENT) for _ in range(CLIENTS)]
    other, _ = csr()
    waiting: list[tuple[str, str]] = []
    acknowledged = 0
    for number in range(ROUNDS):
        if len(waiting) < EACH:
            waiting += tokens(api, 10 * EACH, f"round{number}")
        lot = waiting[:EACH]
        with enrolling(clients, lot, enough=chance.randint(1, 6)) as told:
            # The moment is part of the test: it may fall anywhere between two steps of a request.
            threading.Event().wait(chance.uniform(0, 0.03))
            server.kill()
        assert told.refused == []
        acknowledged += len(told.certificates)
        server.start()
        waiting = check_acknowledged(server, told, lot) + waiting[EACH:]
        # One of those that were answered: refused to another key, the same certificate for the same key.
        key = chance.choice(sorted(told.certificates))
        token, fingerprint = told.certificates[key]
        assert enroll(clients[0], "ott", token, other, PEM).code == "INVALID_ENROLLMENT_TOKEN"
        assert read_chain(enroll(clients[0], "ott", token, PEM_TEXT, PEM).ok()["cert"]).fingerprint == fingerprint
        if number % 10 == 9:
            check_whole(server)
    assert acknowledged >= ROUNDS
    # What no answer came for is spent or pending; the pending ones enroll now.
    for _, token in waiting[:EACH]:
        enroll(clients[0], "ott", token, PEM_TEXT, PEM).ok()
    check_whole(server)
    # The log says of each certificate once that it was issued, besides those that were asked for again.
    issued = sql(server, "SELECT count(DISTINCT identity_id) FROM authenticator WHERE method = 'cert'")[0][0]
    assert issued >= acknowledged
