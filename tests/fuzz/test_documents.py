"""Schemathesis over the whole served documents: what they allow, and what they do not, against a running controller.

`ZITILITE_FUZZ_EXAMPLES=200 python -m pytest tests/fuzz/test_documents.py` looks harder.
"""

from __future__ import annotations

import functools
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from tests.controllers import CLIENT, MANAGEMENT, Api, Controller
from tests.faults.load import check_still_works, check_whole
from tests.flows import identity_body, pending, unique
from wire.resource import OWN

EXAMPLES = int(os.environ.get("ZITILITE_FUZZ_EXAMPLES", "2"))
SECONDS = 10
# What never ends, ends the session that asks, or keeps a core busy for a second each time.
LEFT_OUT = {
    ("GET", "/events"),
    ("GET", "/attempts/stream"),
    ("DELETE", "/current-api-session"),
    ("DELETE", "/api-sessions/{id}"),
    ("POST", "/certificates/rollover"),
    ("POST", "/backups"),
    ("POST", "/backups/{id}/check"),
    ("POST", "/recovery-kit"),
}
KNOWN_5XX = {501, 503}
PHASES = (Phase.explicit, Phase.generate)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Controller]:
    flags = ("--limit-address", "0", "--limit-token", "0", "--limit-account", "0")
    made = Controller(tmp_path_factory.mktemp("documents"), *flags).start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def api(server: Controller) -> Api:
    return server.admin()


def seeded(api: Api) -> None:
    """Something of what most operations are about."""
    for method, value in (("ott", True), ("updb", unique("user"))):
        pending(api, method, value)
    for path in ("services", "edge-routers"):
        api.create(
            f"/{path}",
            {"name": unique(path), "encryptionRequired": True} if path == "services" else {"name": unique(path)},
        )
    api.create("/identities", identity_body(tags={"a": 1}))


def ids(api: Api, base: str, path: str, cache: dict[str, list[str]]) -> list[str]:
    """Ids that the collection of a path has; the administrator's own are left alone."""
    collection = path.split("{", maxsplit=1)[0].rstrip("/")
    if collection not in cache:
        answer = api.http.get(f"{api.url}{base}{collection}", timeout=20)
        rows = answer.json().get("data", []) if answer.status_code == 200 else []
        rows = [r for r in rows if isinstance(r, dict)] if isinstance(rows, list) else []
        kept = [r for r in rows if not r.get("isDefaultAdmin") and r.get("username") != "admin"]
        cache[collection] = [str(r["id"]) for r in kept if "id" in r]
    return cache[collection]


def problem(answer: requests.Response, took: float) -> str:
    """What is wrong with an answer, whatever was asked; "" when nothing is."""
    status = answer.status_code
    if 500 <= status < 600 and status not in KNOWN_5XX:
        return f"status {status}"
    if took > SECONDS:
        return f"took {took:.1f} s"
    if answer.headers.get("Content-Type", "").startswith("application/json") and answer.content:
        try:
            found = answer.json()
        except ValueError:
            return "no JSON, though it says so"
        if status >= 400 and not ({"error", "code"} & found.keys()):
            return "an error without the envelope"
    return ""


def explore(operation: Any, send: Callable[[Any], None]) -> None:
    """Send examples of an operation, half of them such that do not fit the document."""
    fitting = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    other = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=PHASES, suppress_health_check=list(HealthCheck)
    )
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        try:
            case = data.draw(fitting | other)
        except (Unsatisfiable, schemathesis.errors.InvalidSchema):
            return  # an operation without anything to leave out has nothing that does not fit
        send(case)

    run()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("base", [MANAGEMENT, CLIENT, OWN])
def test_whole_document(server: Controller, api: Api, base: str):
    """Every operation, with bodies, queries and paths that fit and that do not: no 5xx, no hang, the envelope."""
    seeded(api)
    document = requests.get(f"{server.url}{base}/swagger.json", verify=str(server.ca_file()), timeout=20).json()
    schema = schemathesis.openapi.from_dict(document)
    chance = random.Random(20261123)
    known: dict[str, list[str]] = {}
    wrong: list[str] = []
    tried = 0

    def send(case: Any, places: list[str]) -> None:
        nonlocal tried
        if places and chance.random() < 0.7:
            case.path_parameters = {name: chance.choice(places) for name in case.path_parameters}
        headers = {"zt-session": api.http.headers["zt-session"]}
        began = time.monotonic()
        try:
            answer = case.call(
                base_url=f"{server.url}{base}",
                session=api.http,
                headers=headers,
                timeout=SECONDS + 5,
                verify=str(server.ca_file()),
            )
        except (requests.exceptions.InvalidHeader, UnicodeEncodeError):
            return  # the client refuses to send such a header
        tried += 1
        if what := problem(answer, time.monotonic() - began):
            wrong.append(f"{case.method} {case.formatted_path}: {what}: {answer.text[:300]}")

    found: Any
    for found in schema.get_all_operations():
        operation = found.ok()
        if (operation.method.upper(), operation.path) not in LEFT_OUT:
            places = ids(api, base, operation.path, known) if "{" in operation.path else []
            explore(operation, functools.partial(send, places=places))
    assert wrong == []
    assert tried > 60
    again = server.admin()
    check_still_works(server, again)
    check_whole(server)
    assert "Traceback" not in server.stderr()
