"""Clocks that jump, and certificates that end: said clearly, and nobody is enrolled twice or lost."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.certificates import CA, csr
from tests.controllers import CLIENT, Api, Controller
from tests.faults.load import OWN, PEM_TEXT, check_acknowledged, check_whole, enrolling, tokens
from tests.flows import PEM, certified, enroll, login, read_chain, served_certificate, wait_until

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
pytestmark = [
    pytest.mark.skipif(not FAKETIME, reason="libfaketime (Debian package faketime) is not installed"),
    pytest.mark.filterwarnings("ignore:Unverified HTTPS request"),
]
DAY, YEAR = 86_400, 365 * 86_400


class Clock:
    """The clock of a server, seconds ahead of ours."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.jump(0)

    def jump(self, seconds: int) -> None:
        self._file.write_text(f"{seconds:+d}\n")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(FAKETIME[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            # A clock that jumps is the wall clock; what measures durations goes on.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def start(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Controller]]:
    """Give a factory of controllers with that clock."""
    made: list[Controller] = []

    def begin(*flags: str) -> Controller:
        server = Controller(tmp_path / f"controller{len(made)}", *flags)
        server.variables = clock.environment
        made.append(server)
        return server.start()

    yield begin
    for server in made:
        server.stop()


def now_of(server: Controller) -> datetime:
    """What the server takes for the present time."""
    date = server.api().get("/version").headers["Date"]
    return datetime.strptime(date, "%a, %d %b %Y %H:%M:%S %Z").replace(tzinfo=UTC)


def test_a_day_back(start, clock, tmp_path):
    """While clients enroll the clock goes back a day: enrollments, sessions and logins go on."""
    server = start()
    api = server.admin()
    _, _, device = certified(server, api, tmp_path)
    lot = tokens(api, 40)
    clients = [server.api().on(CLIENT) for _ in range(4)]
    with enrolling(clients, lot, enough=8) as told:
        clock.jump(-DAY)
    assert now_of(server) < datetime.now(UTC) - timedelta(hours=23)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as silent:
        assert silent.recv(1) == b"", "who says nothing is cut off by a clock that was not set"
    assert told.refused == []
    assert len(told.certificates) == 40
    assert check_acknowledged(server, told, lot) == []
    assert login(device).status == 200, "a certificate from before the jump is backdated by less than a day"


def test_a_year_ahead_and_back(start, clock, tmp_path):
    """Sessions and tokens end; what is new works; after the way back the server's certificate is one of today again."""
    server = start()
    api = server.admin()
    _, _, device = certified(server, api, tmp_path)
    [(_, token)] = tokens(api, 1)
    before = served_certificate(server.api())
    kept = HTTPSConnection(
        "127.0.0.1", server.port, timeout=20, context=ssl.create_default_context(cafile=server.ca_file())
    )
    kept.request("GET", "/version")
    assert kept.getresponse().read()
    clock.jump(2 * YEAR)
    landed = now_of(server)
    # Long enough that idle connections were looked at: this one was not idle for two years.
    wait_until(lambda: now_of(server) > landed + timedelta(seconds=3))
    kept.request("GET", "/version")
    assert kept.getresponse().status == 200
    kept.close()
    assert api.get("/identities").status == 401
    api = server.admin()
    assert enroll(api, "ott", token, PEM_TEXT, PEM).code == "ENROLLMENT_EXPIRED"
    assert login(device).status == 200, "the default policy lets expired certificates in, as recorded"
    [(key, token)] = tokens(api, 1)
    answer = enroll(api, "ott", token, PEM_TEXT, PEM)
    assert answer.status == 200
    ends = read_chain(answer.data["cert"]).certificate.not_valid_after_utc
    assert ends > datetime.now(UTC) + timedelta(seconds=2 * YEAR)
    # The server's own certificate is renewed, and would be one of the future afterwards.
    server.restart()
    future = seen(server)
    assert future != before
    assert future.not_valid_before_utc > datetime.now(UTC)
    clock.jump(0)
    # Whichever of its processes answers; each connection may get another.
    present = wait_until(lambda: (c := last_of_many(server)).not_valid_before_utc < datetime.now(UTC) and c, 60)
    assert present.not_valid_after_utc > datetime.now(UTC)
    api = server.admin()
    assert api.detail("/identities", key)["enrollment"] == {}
    assert enroll(api, "ott", token, csr()[0], PEM).code == "INVALID_ENROLLMENT_TOKEN"
    [(_, token)] = tokens(api, 1)
    assert enroll(api, "ott", token, PEM_TEXT, PEM).status == 200
    rows = api.on(OWN).get("/attempts", limit=100).ok()
    assert len({row["id"] for row in rows}) == len(rows)
    check_whole(server)


def seen(server: Controller) -> Any:
    """The server's certificate, whatever its dates."""
    return served_certificate(Api(server.url, Path("/nowhere")))


def last_of_many(server: Controller) -> Any:
    """Of twenty certificates of the server the one that begins last."""
    return max((seen(server) for _ in range(20)), key=lambda c: c.not_valid_before_utc)


def test_expired_intermediate_of_our_own(start, clock):
    """Left off until root and intermediate had ended: the next start makes new ones, says so, and enrolls."""
    server = start()
    old = server.ca_pem()
    [(_, token)] = tokens(server.admin(), 1)
    server.stop()
    clock.jump(int(10.5 * YEAR))
    server.start()
    assert "had expired: a new one was made" in server.stderr()
    assert server.ca_pem() != old
    # Our clock is not there yet: no client here may look at dates.
    query = {"method": "password"}
    body = {"username": "admin", "password": server.admin_password}
    http = requests.Session()
    http.verify, http.trust_env = False, False
    url = f"{server.url}/edge/management/v1"
    session = http.post(f"{url}/authenticate", params=query, json=body, timeout=20)
    http.headers["zt-session"] = session.headers["zt-session"]
    wanted: Any = {"name": "later", "type": "Default", "isAdmin": False, "enrollment": {"ott": True}}
    key = http.post(f"{url}/identities", json=wanted, timeout=20).json()["data"]["id"]
    token = http.get(f"{url}/identities/{key}", timeout=20).json()["data"]["enrollment"]["ott"]["token"]
    enrolled = http.post(
        f"{server.url}/edge/client/v1/enroll",
        params={"method": "ott", "token": token},
        data=PEM_TEXT,
        headers={"Content-Type": PEM},
        timeout=20,
    )
    assert enrolled.status_code == 200
    assert (
        read_chain(enrolled.json()["data"]["cert"]).certificate.not_valid_after_utc.year > datetime.now(UTC).year + 10
    )


def test_expired_signing_certificate_of_the_operator(start, clock, tmp_path):
    """It cannot be replaced by us: enrollment says 503 and why, the token stays good until a new one is there."""
    root = CA.root("Own Root")
    signer = root.intermediate("Own Intermediate")
    chain, key = tmp_path / "signer.pem", tmp_path / "signer.key"
    chain.write_text(signer.pem + root.pem)
    key.write_text(signer.key_pem)
    server = start("--signing-cert", str(chain), "--signing-key", str(key), "--enrollment-minutes", "10000000")
    api = server.admin()
    [(identity, token)] = tokens(api, 1)
    end = signer.certificate.not_valid_after_utc
    clock.jump(int((end - datetime.now(UTC)).total_seconds()) + DAY)
    answer = enroll(server.api(), "ott", token, PEM_TEXT, PEM)
    assert (answer.status, answer.code) == (503, "CA_UNAVAILABLE")
    assert "expired on" in answer.error["cause"]["message"]
    clock.jump(0)
    assert enroll(server.api(), "ott", token, PEM_TEXT, PEM).status == 200
    assert server.admin().detail("/identities", identity)["enrollment"] == {}
