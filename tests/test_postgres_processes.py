"""Several controller processes on one PostgreSQL database, behind one address, with the same keys."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import postgres
from tests import cluster, events, flows
from tests.certificates import CA, csr
from tests.controllers import CLIENT, Api, Controller
from tests.flows import PEM, enroll, pending, read_chain, unique, wait_until
from tests.pair import Pair
from tests.test_concurrency import at_once, codes

OWN = "/zitilite/v1"


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Iterator[Pair]:
    """Two processes with folders of their own, as on two machines."""
    made = Pair(tmp_path_factory.mktemp("pair"), cluster.shared().new_database(), shared=False).start_both()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def session(pair: Pair) -> Api:
    return pair.both[0].admin()


@pytest.fixture
def api(session: Api) -> Api:
    return session.on(session.base)


def took_part(controller: Controller, path: str) -> int:
    """How many requests of a path a process has answered, by its own log."""
    lines = (json.loads(line) for line in controller.stderr().splitlines() if line.startswith("{"))
    return sum(path in line["message"] for line in lines if line["logger"] == "zitilite.access")


# --- one thing, once


def test_one_token_fifty_clients_across_two_processes(pair, api):
    """Of 50 simultaneous uses of one token exactly one gets a certificate, whichever process they reach."""
    before = [took_part(controller, "/enroll") for controller in pair.both]
    key, found = pending(api, "ott")
    requests = [csr()[0] for _ in range(50)]
    answers = at_once(api, lambda client, pem: enroll(client, "ott", found["token"], pem, PEM), requests, 50)
    assert codes(answers) == {None: 1, "INVALID_ENROLLMENT_TOKEN": 49}
    (winner,) = [answer for answer in answers if answer.status == 200]
    issued = read_chain(winner.data["cert"])
    assert api.detail("/identities", key)["authenticators"]["cert"]["fingerprint"] == issued.fingerprint
    assert flows.sql(pair.one, "SELECT count(*) FROM authenticator WHERE identity_id = ?", key) == [(1,)]
    after = [took_part(controller, "/enroll") for controller in pair.both]
    assert all(now - then >= 20 for now, then in zip(after, before, strict=True)), (before, after)
    # The log has all of them, under ids of one sequence.
    query = "SELECT id, outcome FROM attempt WHERE identity = ? ORDER BY id"
    logged = wait_until(lambda: (rows := flows.sql(pair.one, query, key)) and len(rows) == 50 and rows)
    assert Counter(outcome for _, outcome in logged) == {"ok": 1, "refused": 49}


def test_many_tokens_across_two_processes(api):
    """100 tokens used by 32 clients at once: all succeed, once, with certificates that differ."""
    work = [(pending(api, "ott")[1]["token"], csr()[0]) for _ in range(100)]
    answers = at_once(api, lambda client, item: enroll(client, "ott", item[0], item[1], PEM), work)
    assert codes(answers) == {None: 100}
    assert len({read_chain(answer.data["cert"]).fingerprint for answer in answers}) == 100


def test_names_do_not_collide_across_two_processes(pair, api, tmp_path):
    """Automatic enrollment of 20 certificates of one name makes 20 identities of different names."""
    root, name = CA.root(unique("root")), unique("auto")
    flows.import_ca(api, root, identityNameFormat="[commonName]")
    clients = [flows.client_with(pair.one, root.leaf(name), tmp_path) for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda client: enroll(client, "ca"), clients))
    assert codes(answers) == {None: 20}
    names = [row["name"] for row in api.get("/identities", filter=f'name contains "{name}"', limit=100).ok()]
    assert sorted(names) == sorted({name, *(f"{name}{number:06d}" for number in range(1, 20))})


def test_an_identity_with_one_name_is_made_once(api):
    name = unique("same")
    answers = at_once(api, lambda client, _: client.post("/identities", flows.identity_body(name=name)), range(20), 20)
    assert codes(answers) == {None: 1, "COULD_NOT_VALIDATE": 19}


# --- what one process does, the other knows


def test_sessions_and_tokens_are_known_to_both(pair, api, tmp_path):
    """A login at one process counts at the other, and so does its end."""
    here, there = (pair.directly(number, api) for number in range(2))
    key, user, password = flows.with_password(here)
    person = here.on(CLIENT).login(user, password)
    elsewhere = there.on(CLIENT)
    elsewhere.http.headers["zt-session"] = person.http.headers["zt-session"]
    assert elsewhere.get("/current-identity").ok()["id"] == key
    elsewhere.delete("/current-api-session").ok()
    assert person.get("/current-identity").status == 401
    made = there.on(OWN).post("/api-tokens", {"name": unique("token"), "scope": "read"}).ok(201)
    script = pair.directly(0, pair.one.api())
    script.http.headers["Authorization"] = f"Bearer {made['token']}"
    assert script.get(f"/identities/{key}").status == 200


def test_answers_are_the_same(pair, api):
    """Tokens, trust bundle, addresses and network are those of one controller."""
    key, _ = pending(api, "ott")
    here, there = (pair.directly(number, api) for number in range(2))
    for path in (f"/identities/{key}", "/controllers", "/version"):
        left, right = (one.get(path).ok() for one in (here, there))
        assert {**left, "controllerVersion": 0} == {**right, "controllerVersion": 0} if isinstance(left, dict) else True
    jwts = {one.detail("/identities", key)["enrollment"]["ott"]["jwt"] for one in (here, there)}
    assert len(jwts) == 1
    bundles = {one.call("GET", "/.well-known/est/cacerts").body for one in (here, there)}
    assert len(bundles) == 1


def test_news_of_the_other_process(pair, api):
    """Who listens at one process hears what the other one does, in order, without gaps."""
    here, there = (pair.directly(number, api) for number in range(2))
    with events.listening(here, topics="changes") as stream:
        made = [there.create("/identities", flows.identity_body()) for _ in range(5)]
        made.append(here.create("/identities", flows.identity_body()))
        heard: list[events.Event] = []
        while len(heard) < 6:
            event = stream.next()
            if event.data["id"] in made:
                heard.append(event)
    assert [event.data["id"] for event in heard] == made
    assert [int(event.id) for event in heard] == sorted(int(event.id) for event in heard)


def test_one_of_them_leads(pair):
    """A task for one process is done by one; when that one's connection ends, another takes it over."""
    first, second = (postgres.Postgres(pair.one.database) for _ in range(2))
    assert first.leads("test")
    assert first.leads("test")
    assert not second.leads("test")
    assert second.leads("another")
    first.close()
    assert wait_until(lambda: second.leads("test"))
    second.close()
