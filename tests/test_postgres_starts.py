"""Processes that share a PostgreSQL database come and go: first starts, wrong keys, a roll-over, a sudden death."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests import cluster, flows
from tests.certificates import csr
from tests.controllers import CLIENT, Controller
from tests.flows import PEM, enroll, pending, read_chain, wait_until
from tests.pair import Pair

OWN = "/zitilite/v1"


# --- beginnings and ends


def test_both_start_at_once_on_one_folder(tmp_path):
    """Two first starts make one administrator and one CA; a CA that is rolled over at one reaches the other."""
    made = Pair(tmp_path, cluster.shared().new_database(), shared=True)
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(made.start, range(2)))
        api = made.one.admin()
        assert flows.sql(made.one, "SELECT count(*) FROM identity WHERE is_default_admin") == [(1,)]
        here, there = (made.directly(number, api) for number in range(2))
        old = here.call("GET", "/.well-known/est/cacerts").body
        assert there.call("GET", "/.well-known/est/cacerts").body == old
        here.on(OWN).post("/certificates/rollover", {"what": "intermediate"}).ok()
        new = here.call("GET", "/.well-known/est/cacerts").body
        assert new != old
        wait_until(lambda: there.call("GET", "/.well-known/est/cacerts").body == new, seconds=45)
        key, found = pending(api, "ott")
        issued = read_chain(enroll(there.on(CLIENT), "ott", found["token"], csr()[0], PEM).ok()["cert"])
        assert here.detail("/identities", key)["authenticators"]["cert"]["fingerprint"] == issued.fingerprint
        lock = made.one.data / "lock"
        assert lock.exists()
    finally:
        made.stop()


def test_a_process_without_the_keys_is_refused(tmp_path):
    """No keys, or those of somebody else: it says so and makes none."""
    url = cluster.shared().new_database()
    Controller(tmp_path / "first", database=url).start().stop()
    stranger = Controller(tmp_path / "stranger", database=url)
    with pytest.raises(RuntimeError, match="copy the folder `pki`"):
        stranger.start()
    assert not (stranger.data / "pki").exists()
    other = Controller(tmp_path / "other", database="").start()
    other.stop()
    other.database = url
    with pytest.raises(RuntimeError, match="another controller's"):
        other.start()


def test_the_death_of_one_in_the_midst_of_writing(tmp_path):
    """One process is killed while both are busy: the other goes on, and no enrollment is lost or doubled."""
    made = Pair(tmp_path, cluster.shared().new_database(), shared=False).start_both()
    try:
        api = made.one.admin()
        work = [(pending(api, "ott"), csr()[0]) for _ in range(60)]
        answers: dict[str, Any] = {}
        enough = threading.Event()

        def use(item: Any) -> None:
            (key, found), pem = item
            client = api.on(CLIENT)
            try:
                answers[key] = enroll(client, "ott", found["token"], pem, PEM)
            except (requests.RequestException, OSError):  # it was cut off
                answers[key] = None
            if len(answers) > 15:
                enough.set()

        with ThreadPoolExecutor(8) as pool:
            running = pool.map(use, work)
            assert enough.wait(30)
            made.one.kill()
            list(running)
        assert all(answer.status == 200 for answer in answers.values() if answer is not None)
        there = made.directly(1, api)
        # Whoever heard nothing asks again with the same key, and gets what there is for it.
        for (key, found), pem in work:
            answer = answers[key] or enroll(there.on(CLIENT), "ott", found["token"], pem, PEM)
            fingerprint = read_chain(answer.ok()["cert"]).fingerprint
            assert there.detail("/identities", key)["authenticators"]["cert"]["fingerprint"] == fingerprint
        assert flows.sql(made.two, "SELECT count(*) FROM authenticator WHERE method = 'cert'") == [(60,)]
        there.create("/identities", flows.identity_body())
    finally:
        made.stop()
