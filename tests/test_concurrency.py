"""Many at once: every token buys exactly one thing, every name and certificate belongs to one."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.certificates import CA, csr
from tests.controllers import Answer, Api
from tests.flows import (
    PEM,
    client_with,
    enroll,
    identity_body,
    import_ca,
    login,
    password_login,
    pending,
    read_chain,
    sql,
    unique,
)

THREADS = 32


def at_once(api: Api, work: Callable[[Api, Any], Answer], items: Sequence[Any], threads: int = THREADS) -> list[Answer]:
    """Run `work` for each item, all threads beginning together, each on a connection of its own."""
    barrier = threading.Barrier(min(threads, len(items)))
    own = threading.local()

    def run(item: Any) -> Answer:
        if not hasattr(own, "client"):
            own.client = api.on(api.base)
            own.client.http.cert = api.http.cert
            barrier.wait(30)
        return work(own.client, item)

    with ThreadPoolExecutor(barrier.parties) as pool:
        return list(pool.map(run, items, timeout=100))


def codes(answers: list[Answer]) -> Counter[str | None]:
    assert all(answer.status < 500 for answer in answers), [a for a in answers if a.status >= 500][:3]
    return Counter(answer.code for answer in answers)


def test_two_hundred_tokens(controller, api):
    """200 tokens used by 32 threads at once: all succeed, once, with certificates that differ."""
    identities = [pending(api, "ott") for _ in range(200)]
    requests = [csr()[0] for _ in range(8)]
    work = [(found["token"], requests[number % 8]) for number, (_, found) in enumerate(identities)]
    answers = at_once(api, lambda client, item: enroll(client, "ott", item[0], item[1], PEM), work)
    assert codes(answers) == {None: 200}
    prints = {read_chain(answer.data["cert"]).fingerprint for answer in answers}
    assert len(prints) == 200
    keys = [key for key, _ in identities]
    marks = ",".join("?" * len(keys))
    stored = sql(controller, f"SELECT cert_fingerprint FROM authenticator WHERE identity_id IN ({marks})", *keys)
    assert sorted(prints) == sorted(value for (value,) in stored)
    left = sql(controller, f"SELECT count(*) FROM enrollment WHERE identity_id IN ({marks})", *keys)
    assert left == [(0,)]
    again = at_once(api, lambda client, item: enroll(client, "ott", item[0], item[1], PEM), work)
    assert [answer.body for answer in again] == [answer.body for answer in answers]
    others = [(token, requests[(number + 1) % 8]) for number, (token, _) in enumerate(work)]
    refused = at_once(api, lambda client, item: enroll(client, "ott", item[0], item[1], PEM), others)
    assert codes(refused) == {"INVALID_ENROLLMENT_TOKEN": 200}


def test_one_token_fifty_times(controller, api):
    """Of 50 simultaneous uses of one token exactly one gets a certificate, and that is the one stored."""
    key, found = pending(api, "ott")
    requests = [csr()[0] for _ in range(50)]
    answers = at_once(api, lambda client, pem: enroll(client, "ott", found["token"], pem, PEM), requests, 50)
    assert codes(answers) == {None: 1, "INVALID_ENROLLMENT_TOKEN": 49}
    (winner,) = [answer for answer in answers if answer.status == 200]
    issued = read_chain(winner.data["cert"])
    assert api.detail("/identities", key)["authenticators"]["cert"]["fingerprint"] == issued.fingerprint
    assert sql(controller, "SELECT count(*) FROM authenticator WHERE identity_id = ?", key) == [(1,)]


def test_one_updb_token_many_times(controller, api):
    """Of many simultaneous passwords for one token exactly one becomes the password."""
    user = unique("user")
    key, found = pending(api, "updb", user)
    passwords = [f"password-{number}" for number in range(16)]
    answers = at_once(api, lambda c, word: enroll(c, "updb", found["token"], {"password": word}), passwords)
    assert codes(answers) == {None: 1, "INVALID_ENROLLMENT_TOKEN": 15}
    winner = passwords[[answer.status for answer in answers].index(200)]
    assert password_login(controller.api(), user, winner).ok()["identityId"] == key
    loser = passwords[[answer.status for answer in answers].index(400)]
    assert password_login(controller.api(), user, loser).code == "INVALID_AUTH"


def test_two_updb_tokens_for_one_user_name(api):
    """Two tokens for one user name used at once: one gets it, the other is told, no error inside."""
    for _ in range(5):
        user = unique("user")
        tokens = [pending(api, "updb", user)[1]["token"] for _ in range(2)]
        answers = at_once(api, lambda c, token: enroll(c, "updb", token, {"password": "password"}), tokens)
        assert codes(answers) == {None: 1, "COULD_NOT_VALIDATE": 1}


def test_one_certificate_twenty_times(controller, api, tmp_path):
    """One certificate used 20 times at once for automatic enrollment makes one identity."""
    root, name = CA.root(unique("root")), unique("auto")
    import_ca(api, root, identityNameFormat="[commonName]")
    client = client_with(controller, root.leaf(name), tmp_path)
    answers = at_once(client, lambda c, _: enroll(c, "ca"), range(20))
    assert codes(answers) == {None: 1, "CERT_IN_USE": 19}
    (made,) = api.get("/identities", filter=f'name contains "{name}"', limit=500).ok()
    assert login(client).ok()["identityId"] == made["id"]


def test_many_certificates_of_one_name(controller, api, tmp_path):
    """Certificates of one common name at once: numbered without a gap and without a double."""
    root, name = CA.root(unique("root")), unique("auto")
    import_ca(api, root, identityNameFormat="[commonName]")
    clients = [client_with(controller, root.leaf(name), tmp_path) for _ in range(16)]
    answers = at_once(clients[0], lambda _, client: enroll(client, "ca"), clients)
    assert codes(answers) == {None: 16}
    found = [one["name"] for one in api.get("/identities", filter=f'name contains "{name}"', limit=500).ok()]
    assert sorted(found) == [name, *(f"{name}{number:06d}" for number in range(1, 16))]


def test_one_certificate_for_many_ottca_tokens(controller, api, tmp_path):
    """One certificate used for many ottca tokens at once goes to one identity; the other tokens stay."""
    root = CA.root(unique("root"))
    ca = import_ca(api, root)
    client = client_with(controller, root.leaf(unique("d")), tmp_path)
    tokens = [pending(api, "ottca", ca)[1]["token"] for _ in range(10)]
    answers = at_once(client, lambda c, token: enroll(c, "ottca", token), tokens)
    assert codes(answers) == {None: 1, "CERT_IN_USE": 9}
    assert len(api.get("/enrollments", filter=f'caId="{ca}"', limit=500).ok()) == 9


@pytest.mark.parametrize(
    ("path", "make"),
    [
        ("/identities", lambda name: {**identity_body(), "name": name}),
        ("/edge-routers", lambda name: {"name": name}),
        ("/services", lambda name: {"name": name, "encryptionRequired": True}),
    ],
)
def test_one_name_created_many_times(api, path, make):
    """Of parallel creates with one name exactly one succeeds; the others are told about the name."""
    name = unique("name")
    answers = at_once(api, lambda client, body: client.post(path, body), [make(name)] * 20)
    assert codes(answers) == {None: 1, "COULD_NOT_VALIDATE": 19}
    assert {a.error["cause"]["field"] for a in answers if a.code} == {"name"}
    assert len(api.get(path, filter=f'name="{name}"').ok()) == 1


def test_one_pending_enrollment_whoever_asks(controller, api):
    """Parallel requests for a token of one identity leave one pending enrollment."""
    key = api.create("/identities", identity_body())
    body = {"method": "ott", "identityId": key, "expiresAt": "2099-01-01T00:00:00Z"}
    answers = at_once(api, lambda client, _: client.post("/enrollments", body), range(16))
    assert codes(answers) == {None: 1, "ENROLLMENT_EXISTS": 15}
    assert sql(controller, "SELECT count(*) FROM enrollment WHERE identity_id = ?", key) == [(1,)]


def test_router_token_many_times(api):
    """Of many simultaneous uses of a router's token exactly one gets certificates."""
    key = api.create("/edge-routers", {"name": unique("router")})
    token = api.detail("/edge-routers", key)["enrollmentToken"]
    bodies = [{"certCsr": csr(key)[0], "serverCertCsr": csr(key)[0]} for _ in range(16)]
    answers = at_once(api, lambda client, body: enroll(client, "erott", token, body), bodies)
    assert codes(answers) == {None: 1, "INVALID_ENROLLMENT_TOKEN": 15}
    (winner,) = [answer for answer in answers if answer.status == 200]
    assert api.detail("/edge-routers", key)["fingerprint"] == read_chain(winner.data["cert"]).fingerprint


def test_readers_and_writers_together(api):
    """Lists, creates and deletes at the same time never fail and never show half a thing."""

    def work(client: Api, number: int) -> Answer:
        if number % 2:
            return client.get("/identities", limit=20)
        made = client.post("/identities", identity_body(roleAttributes=["a"], enrollment={"ott": True}))
        client.get(f"/identities/{made.data['id']}").ok()
        return client.delete(f"/identities/{made.data['id']}")

    assert codes(at_once(api, work, range(96), 16)) == {None: 96}
