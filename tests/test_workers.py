"""Several processes on one port: they are one controller to everybody outside, whichever of them answers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from prometheus_client.parser import text_string_to_metric_families

from company import Company
from tests import flows
from tests.controllers import MANAGEMENT, Controller
from tests.events import listening
from tests.test_rollover import bundle
from workers import Pool

OWN = "/zitilite/v1"
COUNT = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Controller]:
    found = Controller(tmp_path_factory.mktemp("workers"), "--workers", str(COUNT), "--metrics", "on").start()
    yield found
    found.stop()


def forked(server: Controller) -> set[int]:
    """The processes that serve right now."""
    text = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    return {int(pid) for pid in text.split()}


def children(server: Controller, count: int = COUNT) -> set[int]:
    """The processes that serve, once all are there."""
    flows.wait_until(lambda: len(forked(server)) == count)
    return forked(server)


def cpu(pid: int) -> int:
    """Ticks of CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def state(pid: int) -> str:
    """What a process does, as the system says it: R, S, D, T (frozen), Z."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def names(server: Controller) -> list[str]:
    """The names in the certificate that the server presents."""
    found = flows.served_certificate(server.api()).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return found.value.get_values_for_type(x509.DNSName)


def test_all_of_them_serve(server):
    before = {pid: cpu(pid) for pid in children(server)}

    def all_worked() -> bool:
        for _ in range(50):
            flows.served_certificate(server.api())
        return all(cpu(pid) > ticks for pid, ticks in before.items())

    flows.wait_until(all_worked, 30)


def test_what_one_refused_another_shows_at_once(server):
    admin = server.admin()
    for _ in range(20):
        token = flows.unique("nobody")
        assert flows.enroll(server.api(), "ott", token, "", flows.PEM).status != 200
        newest = admin.on(OWN).get("/attempts", limit=1).ok()[0]
        assert newest["outcome"] == "refused"
        assert newest["method"] == "ott"
    total = admin.on(OWN).get("/attempts", filter='outcome = "refused" and method = "ott"', limit=1)
    assert total.body["meta"]["pagination"]["totalCount"] == 20


def test_a_listener_hears_of_all_of_them(server, tmp_path):
    admin = server.admin()
    with listening(admin.on(OWN), topics="attempts") as listener:
        made = []
        for number in range(12):
            identity, enrollment = flows.pending(admin.on(MANAGEMENT), "ott")
            folder = tmp_path / str(number)
            folder.mkdir()
            flows.enroll_ott(server, enrollment["token"], folder)
            made.append(identity)
        heard = [listener.next(lambda e: e.data["kind"] == "enroll").data["identityId"] for _ in made]
    assert heard == made


def test_a_rollover_is_everybodys_before_it_is_answered(server):
    admin = server.admin()
    for _ in range(4):
        admin.on(OWN).post("/certificates/rollover", {"what": "intermediate"}).ok()
        server._knows_ca = False
        shown = {tuple(c.fingerprint(hashes.SHA256()) for c in bundle(server)) for _ in range(10)}
        assert len(shown) == 1
        assert len({flows.served_certificate(server.api()).serial_number for _ in range(6)}) == 1


def test_an_address_is_everybodys_before_it_is_answered(server):
    admin = server.admin()  # each `admin.on(...)` is a connection of its own, which any process may take
    for number in range(4):
        name = f"box-{number}.example"
        admin.on(OWN).post("/addresses", {"address": name}).ok(201)
        for _ in range(8):
            assert name in names(server)


def test_they_count_together(server):
    def count() -> float:
        text = server.api().http.get(server.url + "/metrics", timeout=10).text
        return sum(
            s.value
            for family in text_string_to_metric_families(text)
            for s in family.samples
            if s.name == "ziti_http_requests_total" and s.labels["operation"].endswith("/protocols")
        )

    before = count()
    for _ in range(24):
        server.api().on("/edge/client/v1").get("/protocols").ok()
    assert {count() for _ in range(6)} == {before + 24}


def test_one_that_dies_is_started_again(server):
    """Nobody notices but whoever it was talking to."""
    victim = min(children(server))
    os.kill(victim, signal.SIGKILL)
    for _ in range(20):
        server.api().on("/edge/client/v1").get("/version").ok()
    flows.wait_until(lambda: len(forked(server) - {victim}) == COUNT)
    assert f"process {victim}) ended with signal SIGKILL" in server.stderr()
    api = server.admin()
    for number in range(6):
        api.create("/identities", {"name": flows.unique(f"after-{number}"), "type": "Device", "isAdmin": False})


def test_what_one_saw_of_an_address_all_know(make_controller):
    """Asked of one process, while the others still wait for an address that never answers."""
    server = make_controller("--workers", str(COUNT))
    admin = server.admin()
    own = admin.on(OWN)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        own.create("/addresses", {"address": f"127.0.0.1:{silent.getsockname()[1]}"})
        key = own.create("/addresses", {"address": "nowhere.invalid:1280"})
        assert own.post(f"/addresses/{key}/check").ok()["resolves"] is False
        for _ in range(4 * COUNT):
            # On a connection of its own, which any process may get.
            other = server.api().on(OWN)
            other.http.headers["zt-session"] = admin.http.headers["zt-session"]
            (row,) = other.get("/addresses", filter=f'id = "{key}"').ok()
            assert row["checkedAt"] is not None
            assert "does not resolve" in row["problem"]


def test_without_the_one_that_looks_after_them_they_end(make_controller):
    """As after a power cut: nobody is left who holds the port or the folder."""
    server = make_controller("--workers", "2")
    left = children(server, 2)
    server.kill()
    flows.wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))
    server.start()
    assert server.admin().get("/identities").ok()


def test_a_stop_ends_all(make_controller):
    server = make_controller("--workers", "2")
    left = children(server, 2)
    admin = server.admin()
    with listening(admin.on(OWN)):
        assert server.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in left)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(server.url.rpartition(":")[2]))) != 0


def test_who_does_not_stop_is_killed(make_controller):
    server = make_controller("--workers", "2")
    frozen = min(children(server, 2))
    os.kill(frozen, signal.SIGSTOP)
    # Until the system has frozen it, the SIGTERM that comes now could still end it.
    flows.wait_until(lambda: state(frozen) == "T")
    assert server.stop() == 0
    assert "they are killed" in server.stderr()


def test_a_stop_before_the_first_was_started_starts_none(tmp_path):
    """The signal comes after it is heeded and before anybody serves."""
    served = tmp_path / "served"

    def run() -> None:
        pool = Pool(2, lambda number: served.write_text(str(number)))
        pool.run(lambda: os.kill(os.getpid(), signal.SIGTERM))

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert not served.exists()


def test_one_process_is_enough(make_controller):
    server = make_controller("--workers", "1")
    assert server.admin().get("/identities").ok()
    assert forked(server) == set()


def test_nobody_waits_for_one_who_never_came():
    """A process that is being started again takes up what it missed when it begins; the others say so and go on."""
    company = Company(2)
    company.join(0, lambda: None, {})
    company.put(company.WAITING, 3)
    assert company.others(company.WAITING) == [0]
    assert not company.wait_for(lambda: False, 0.01)
    company.agree()
    assert company.pids()[0] == os.getpid()
