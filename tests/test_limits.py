"""Limits: refused attempts are counted, successes never; password hashing has a line of its own."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dispatch import hashes
from domain.care.buckets import Buckets
from domain.care.doors import network_of
from tests.certificates import csr
from tests.controllers import CLIENT
from tests.flows import (
    PEM,
    certified,
    enroll,
    identity_body,
    login,
    password_login,
    pending,
    sql,
    unique,
    with_password,
)

OWN = "/zitilite/v1"
FORK = multiprocessing.get_context("fork")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(buckets: Buckets, name: str, rate: int, times: int) -> int:
    """How many of so many drops there were."""
    return sum(not buckets.take(name, rate) for _ in range(times))


# --- the table


def test_a_bucket_empties_and_fills_again():
    clock = Clock()
    buckets = Buckets(clock=clock)
    assert taken(buckets, "a", 6, 10) == 6
    assert buckets.take("a", 6) == pytest.approx(10)
    assert buckets.wait("a", 6) == pytest.approx(10)
    assert buckets.wait("b", 6) == 0
    clock.now += 9
    assert buckets.take("a", 6) == pytest.approx(1)
    clock.now += 1
    assert taken(buckets, "a", 6, 3) == 1
    clock.now += 3600
    assert taken(buckets, "a", 6, 10) == 6
    buckets.fill("a")
    assert taken(buckets, "a", 6, 10) == 6


def test_turns_are_apart_whoever_gets_them():
    clock = Clock()
    buckets = Buckets(clock=clock)
    assert [buckets.turn("a", 1.0) for _ in range(3)] == pytest.approx([0, 1, 2])
    assert buckets.turn("b", 1.0) == 0
    clock.now += 2.5
    assert [buckets.turn("a", 1.0) for _ in range(2)] == pytest.approx([0.5, 1.5])
    clock.now += 60
    assert buckets.turn("a", 1.0) == 0


def test_a_rate_of_one_a_minute():
    clock = Clock()
    buckets = Buckets(clock=clock)
    assert taken(buckets, "a", 1, 3) == 1
    clock.now += 60
    assert taken(buckets, "a", 1, 3) == 1


def test_a_crowd_does_not_free_who_is_held_back():
    """Names by the thousand, more than the table has places for, push each other out, not the one that is empty."""
    buckets = Buckets(slots=64, clock=Clock())
    assert taken(buckets, "guesser", 30, 31) == 30
    for number in range(5000):
        buckets.take(f"other {number}", 30)
    assert buckets.wait("guesser", 30) > 0


def test_news_are_told_once_in_a_while():
    clock = Clock()
    buckets = Buckets(clock=clock)
    taken(buckets, "a", 1, 2)
    assert [buckets.is_news("a", 10) for _ in range(3)] == [True, False, False]
    clock.now += 10
    assert buckets.is_news("a", 10)
    assert buckets.take("a", 1) > 0


def test_processes_share_the_buckets():
    """Four forked processes get together what one would have got."""
    buckets = Buckets()
    counts = FORK.Queue()

    def worker() -> None:
        counts.put(taken(buckets, "a", 1000, 500))

    children = [FORK.Process(target=worker) for _ in range(4)]
    for child in children:
        child.start()
    total = sum(counts.get(timeout=20) for _ in children)
    for child in children:
        child.join(20)
    # A full bucket, and what came back while they ran.
    assert 1000 <= total <= 1100


def test_a_process_killed_with_the_lock_stops_nobody():
    buckets = Buckets()
    holds = FORK.Event()

    def worker() -> None:
        with buckets._lock.held():
            holds.set()
            signal.pause()

    child = FORK.Process(target=worker)
    child.start()
    assert holds.wait(20)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join(20)
    assert taken(buckets, "a", 5, 100) == 5
    assert buckets._lock._lock.acquire(block=False), "only the first may have to wait for the dead one"
    buckets._lock._lock.release()


def test_a_half_written_slot_holds_nobody_back():
    buckets = Buckets(slots=8)
    buckets.take("a", 1)
    buckets._memory[:] = b"\xff" * len(buckets._memory)
    assert buckets.take("a", 1) == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(address, network):
    assert network_of(address) == network


# --- the doors


def test_processes_of_a_controller_count_together(make_controller):
    """With three of them an account gets as many wrong passwords as with one."""
    server = make_controller("--limit-account", "6", "--workers", "3")
    user = unique("nobody")
    # Each connection may be taken by another process.
    answers = [password_login(server.api(), user, "wrong-one").status for _ in range(14)]
    assert 6 <= answers.count(401) <= 8
    assert answers.count(429) == 14 - answers.count(401)


def test_wrong_passwords_are_held_back(make_controller):
    """After so many from one address even the right one must wait; other accounts and other ways in are free."""
    server = make_controller("--limit-account", "3")
    api = server.admin()
    _, user, password = with_password(api)
    _, other, other_password = with_password(api)
    client = server.api()
    assert [password_login(client, user, "wrong-one").status for _ in range(3)] == [401] * 3
    held = password_login(client, user, password)
    assert (held.status, held.code) == (429, "RATE_LIMITED")
    assert 1 <= int(held.headers["Retry-After"]) <= 20
    assert user not in str(held.body)
    assert password_login(client, other, other_password).status == 200
    assert api.get("/identities").status == 200
    # A name that nobody has answers the same, so nobody learns which names there are.
    nobody = unique("nobody")
    assert [password_login(client, nobody, "wrong-one").status for _ in range(4)] == [401, 401, 401, 429]
    rows = api.on(OWN).get("/attempts", filter='outcome="refused"', limit=100).ok()
    assert [row["code"] for row in rows].count("RATE_LIMITED") == 2


def test_the_right_password_forgives_the_wrong_ones(make_controller):
    server = make_controller("--limit-account", "3")
    _, user, password = with_password(server.admin())
    client = server.api()
    for _ in range(3):
        assert [password_login(client, user, "wrong-one").status for _ in range(2)] == [401] * 2
        assert password_login(client, user, password).status == 200


def test_a_token_tried_too_often(make_controller):
    """The refusals become 429; the right request with the same token passes all the same."""
    server = make_controller("--limit-token", "3")
    api = server.admin()
    _, found = pending(api, "ott")
    answers = [enroll(api, "ott", found["token"], "no csr", PEM) for _ in range(6)]
    assert [a.status for a in answers] == [400] * 3 + [429] * 3
    assert all(int(a.headers["Retry-After"]) >= 1 for a in answers[3:])
    assert "with this token" in answers[3].error["cause"]["message"]
    assert found["token"] not in str(answers[3].body)
    assert enroll(api, "ott", found["token"], csr()[0], PEM).status == 200
    # The log has the reason, not that it was once too often; of what repeats itself one row in ten seconds.
    rows = api.on(OWN).get("/attempts", filter='kind="enroll" and outcome="refused"', limit=100).ok()
    assert [row["code"] for row in rows] == ["COULD_NOT_PROCESS_CSR"] * 4
    assert "with this token: they are answered with 429" in server.stderr()


def test_an_address_that_knocks_too_often(make_controller, tmp_path):
    """Whoever brings what is valid passes from there, too; passwords are not looked at."""
    server = make_controller("--limit-address", "5")
    api = server.admin()
    _, _, device = certified(server, api, tmp_path)
    tokens = [pending(api, "ott")[1]["token"] for _ in range(10)]
    unknown = [enroll(api, "ott", secrets.token_hex(18), csr()[0], PEM).status for _ in range(8)]
    assert unknown == [400] * 5 + [429] * 3
    assert [enroll(api, "ott", token, csr()[0], PEM).status for token in tokens] == [200] * 10
    assert login(device).status == 200
    assert password_login(server.api(), "admin", server.admin_password).status == 429
    assert login(server.api()).status == 429
    assert api.get("/identities").status == 200


def test_oidc_logins_count_as_well(make_controller):
    server = make_controller("--limit-account", "2", "--limit-address", "6")
    _, user, password = with_password(server.admin())
    client = server.api()

    def begin() -> str:
        query = {
            "client_id": "openziti",
            "response_type": "code",
            "scope": "openid",
            "redirect_uri": "http://localhost:8080/auth/callback",
            "code_challenge": "x" * 43,
            "code_challenge_method": "S256",
            "state": "s",
        }
        found = client.http.get(f"{server.url}/oidc/authorize", params=query, allow_redirects=False, timeout=20)
        return str(found.headers["Location"]).partition("authRequestID=")[2]

    def attempt(password: str) -> tuple[int, str | None]:
        form = {"id": begin(), "username": user, "password": password}
        url = f"{server.url}/oidc/login/password"
        found = client.http.post(url, data=form, allow_redirects=False, timeout=20)
        return found.status_code, found.headers.get("Retry-After")

    assert [attempt("wrong-one")[0] for _ in range(2)] == [401] * 2
    status, retry = attempt(password)
    assert status == 429
    assert retry is not None
    url = f"{server.url}/oidc/oauth/token"
    form = {"grant_type": "authorization_code", "code": "x", "client_id": "openziti"}
    answers = [client.http.post(url, data=form, timeout=20) for _ in range(6)]
    assert [a.status_code for a in answers] == [400] * 4 + [429] * 2
    assert answers[-1].json()["error"]["code"] == "RATE_LIMITED"
    assert int(answers[-1].headers["Retry-After"]) >= 1


def test_success_is_never_counted(make_controller):
    """Two hundred enrollments and logins from one address pass where three refusals are the limit."""
    server = make_controller("--limit-address", "3", "--limit-token", "1", "--limit-account", "1")
    api = server.admin()
    made = [api.create("/identities", identity_body(enrollment={"ott": True})) for _ in range(200)]
    tokens = [token for (token,) in sql(server, "SELECT token FROM enrollment")]
    assert len(tokens) == len(made)
    pem = csr()[0]
    client = api.on(CLIENT)
    assert {enroll(client, "ott", token, pem, PEM).status for token in tokens} == {200}
    assert {password_login(client, "admin", server.admin_password).status for _ in range(20)} == {200}


def test_limits_can_be_switched_off(make_controller):
    server = make_controller("--limit-address", "0", "--limit-token", "0", "--limit-account", "0")
    api = server.admin()
    token = secrets.token_hex(18)
    assert {enroll(api, "ott", token, csr()[0], PEM).status for _ in range(700)} == {400}
    assert {password_login(server.api(), "admin", "wrong-one").status for _ in range(40)} == {401}


def test_mfa_says_when_to_come_back(controller, api):
    """Ten wrong codes in five minutes: the eleventh answer says how long that is from now."""
    _, user, password = with_password(api)
    person = controller.api().login(user, password).on(CLIENT)
    person.post("/current-identity/mfa").ok(201)
    answers = [person.post("/current-identity/mfa/verify", {"code": "000000"}) for _ in range(11)]
    assert answers[-1].status == 429
    assert 200 < int(answers[-1].headers["Retry-After"]) <= 300


# --- hashing


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        (("POST", "/edge/client/v1/authenticate", "method=password"), True),
        (("POST", "/authenticate", "a=b&method=password"), True),
        (("POST", "/edge/client/v1/authenticate", "method=cert"), False),
        (("POST", "/edge/client/v1/authenticate/mfa", ""), False),
        (("POST", "/edge/client/v1/enroll", "method=ott&token=x"), False),
        (("POST", "/edge/client/v1/enroll", "token=x&method=updb"), True),
        (("POST", "/edge/client/v1/enroll/updb", "token=x"), True),
        (("POST", "/oidc/login/password", ""), True),
        (("POST", "/oidc/login/cert", ""), False),
        (("POST", "/zitilite/v1/first-run/", ""), True),
        (("GET", "/edge/management/v1/authenticators", ""), False),
        (("PUT", "/edge/management/v1/authenticators/abc", ""), True),
        (("POST", "/edge/client/v1/current-identity/authenticators/abc/extend", ""), False),
    ],
)
def test_which_requests_hash(request_line, expected):
    assert hashes(*request_line) is expected


def test_enrollment_does_not_wait_for_a_storm_of_logins(make_controller):
    """Sixty clients log in all the time; what enrolls meanwhile never waits for the line of passwords."""
    server = make_controller("--limit-account", "0", "--limit-address", "0")
    api = server.admin()
    tokens = [pending(api, "ott")[1]["token"] for _ in range(30)]
    pem = csr()[0]
    stop = threading.Event()
    seen: list[tuple[int, float]] = []

    def storm() -> None:
        client = server.api()
        while not stop.is_set():
            began = time.monotonic()
            status = password_login(client, "admin", "wrong-one").status
            seen.append((status, time.monotonic() - began))

    with ThreadPoolExecutor(60) as pool:
        clients = [pool.submit(storm) for _ in range(60)]
        try:
            times = []
            client = api.on(CLIENT)
            for token in tokens:
                began = time.monotonic()
                enroll(client, "ott", token, pem, PEM).ok()
                times.append(time.monotonic() - began)
        finally:
            stop.set()
        for one in clients:
            one.result(60)
    in_line = [seconds for status, seconds in seen if status == 401]
    assert {status for status, _ in seen} <= {401, 429}, "a slow machine has a short line"
    assert statistics.median(times) < statistics.median(in_line) / 3, "in the one line they would wait as long"


def test_a_full_line_is_said_at_once(make_controller):
    """With three hundred passwords at once the line is full: 429 with Retry-After for the rest, none waits long."""
    server = make_controller("--limit-account", "0", "--limit-address", "0", "--workers", "1")
    clients = [server.api() for _ in range(300)]
    for client in clients:
        client.get("/version").ok()
    with ThreadPoolExecutor(300) as pool:
        answers = list(pool.map(lambda client: password_login(client, "admin", "wrong-one"), clients))
    statuses = [a.status for a in answers]
    assert set(statuses) <= {401, 429}
    assert statuses.count(401) >= 10
    refused = [a for a in answers if a.status == 429]
    assert refused, "three hundred at once are more than the line has places for"
    for answer in refused:
        assert answer.code == "RATE_LIMITED"
        assert answer.headers["Retry-After"] == "5"
    assert server.admin().get("/identities").status == 200
