"""Posture checks of every type: kept, shown, asked for, and what a report changes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from domain.network.versions import VersionError, matches, parse_range
from tests.controllers import CLIENT, MANAGEMENT, Api
from tests.flows import sql, unique, with_password

LINUX = {"osType": "Linux", "path": "/bin/x"}
CHECKS: dict[str, dict[str, Any]] = {
    "OS": {"operatingSystems": [{"type": "Linux", "versions": [">=5.0.0"]}, {"type": "macOS", "versions": []}]},
    "DOMAIN": {"domains": ["Good.example", "other.example"]},
    "MAC": {"macAddresses": ["AA:BB:CC:DD:EE:FF", "00-11-22-33-44-55"]},
    "PROCESS": {"process": {**LINUX, "hashes": ["AB"], "signerFingerprint": "AA:01"}},
    "PROCESS_MULTI": {"semantic": "AllOf", "processes": [LINUX, {**LINUX, "path": "/bin/y", "hashes": ["cd"]}]},
}
BAD_RANGE = [{"type": "Linux", "versions": ["x!"]}]
RUNNING = {"typeId": "PROCESS", "path": "/bin/x", "isRunning": True, "hash": "ab", "signerFingerprints": ["aa01"]}
# type of check, reports, does it pass then
CASES: list[tuple[str, list[dict[str, Any]], bool]] = [
    ("OS", [{"typeId": "OS", "type": "Linux", "version": "5.4.1"}], True),
    ("OS", [{"typeId": "OS", "type": "Linux", "version": "4.19"}], False),
    ("OS", [{"typeId": "OS", "type": "macOS", "version": "anything"}], True),
    ("OS", [{"typeId": "OS", "type": "Windows", "version": "10.0"}], False),
    ("OS", [], False),
    ("DOMAIN", [{"typeId": "DOMAIN", "domain": "GOOD.EXAMPLE"}], True),
    ("DOMAIN", [{"typeId": "DOMAIN", "domain": "bad.example"}], False),
    ("DOMAIN", [{"typeId": "DOMAIN", "domain": "good.example"}, {"typeId": "DOMAIN", "domain": ""}], False),
    ("MAC", [{"typeId": "MAC", "macAddresses": ["x", "aabbccddeeff"]}], True),
    ("MAC", [{"typeId": "MAC", "macAddresses": ["00:11:22:33:44:55"]}], True),
    ("MAC", [{"typeId": "MAC", "macAddresses": []}], False),
    ("PROCESS", [RUNNING], True),
    ("PROCESS", [{**RUNNING, "isRunning": False}], False),
    ("PROCESS", [{**RUNNING, "hash": "zz"}], False),
    ("PROCESS", [{**RUNNING, "signerFingerprints": ["bb"]}], False),
    ("PROCESS", [{**RUNNING, "path": "/BIN/X"}], False),
    ("PROCESS_MULTI", [RUNNING, {**RUNNING, "path": "/bin/y", "hash": "CD"}], True),
    ("PROCESS_MULTI", [RUNNING], False),
    ("DOMAIN", [{"typeId": "OS", "type": "Linux", "version": "5"}], False),
]


class Guarded:
    """Somebody who may dial one service, guarded by one check."""

    def __init__(self, controller: Any, api: Api, body: dict[str, Any]) -> None:
        self.api, self.mark = api, unique("p")
        self.me, user, password = with_password(api, roleAttributes=[self.mark])
        self.client = controller.api().on(CLIENT).login(user, password)
        self.check = api.create("/posture-checks", {"name": unique("check"), "roleAttributes": [self.mark], **body})
        service = {"name": unique("s"), "encryptionRequired": True, "roleAttributes": [self.mark]}
        self.service = api.create("/services", service)
        self.policy = self.grant(postureCheckRoles=[f"#{self.mark}"])

    def grant(self, kind: str = "Dial", **more: Any) -> str:
        roles = {"identityRoles": [f"#{self.mark}"], "serviceRoles": [f"#{self.mark}"]}
        body = {"name": unique("policy"), "type": kind, "semantic": "AnyOf", **roles, **more}
        return self.api.create("/service-policies", body)

    def report(self, *reports: dict[str, Any]) -> Any:
        return self.client.post("/posture-response-bulk", [{"id": self.check, **r} for r in reports]).ok(201)

    def query(self) -> Any:
        (found,) = self.client.get(f"/services/{self.service}").ok()["postureQueries"]
        (asked,) = found["postureQueries"]
        assert found["isPassing"] == asked["isPassing"]
        assert asked["id"] == self.check
        return asked

    def dial(self, kind: str = "Dial") -> Any:
        return self.client.post("/sessions", {"serviceId": self.service, "type": kind})


@pytest.fixture
def guarded(controller, api):
    return lambda body: Guarded(controller, api, body)


@pytest.mark.parametrize(("kind", "reports", "passes"), CASES)
def test_a_report_decides(guarded, kind, reports, passes):
    """What the endpoint reports last decides whether its service sessions are refused."""
    g = guarded({"typeId": kind, **CHECKS[kind]})
    assert g.query()["isPassing"] is False
    assert g.dial().code == "INVALID_POSTURE"
    for report in reports:
        g.report(report)
    assert g.query()["isPassing"] is passes
    # Past the checks, there is no router online.
    assert g.dial().code == ("NO_EDGE_ROUTERS_AVAILABLE" if passes else "INVALID_POSTURE")


@pytest.mark.parametrize("kind", CHECKS)
def test_what_is_asked(guarded, kind):
    """A service tells its client what its endpoint has to report."""
    asked = guarded({"typeId": kind, **CHECKS[kind]}).query()
    assert asked["queryType"] == kind
    assert asked.get("process") == (LINUX if kind == "PROCESS" else None)
    paths = [p["path"] for p in asked["processes"] or ()]
    assert paths == (["/bin/x", "/bin/y"] if kind == "PROCESS_MULTI" else [])
    assert (asked["timeout"], asked["timeoutRemaining"]) == (-1, -1)


def test_one_policy_that_passes_is_enough(guarded):
    """A policy without checks lets in whom another one refuses."""
    g = guarded({"typeId": "DOMAIN", "domains": ["x"]})
    g.grant()
    assert g.dial().code == "NO_EDGE_ROUTERS_AVAILABLE"
    assert g.dial("Bind").code == "COULD_NOT_VALIDATE"


def test_refusals_are_kept_for_the_administrator(guarded, api):
    """Who asked for what, which check of which policy failed, and with what value."""
    g = guarded({"typeId": "DOMAIN", "domains": ["good.example"]})
    g.report({"typeId": "DOMAIN", "domain": "bad.example"})
    cause = g.dial().error["cause"]
    assert cause["data"] == {g.policy: [{"id": g.check, "isPassing": False, "typeId": "DOMAIN"}]}
    assert cause["message"] == f"Failed to pass posture checks for service policies: [{g.policy}]"
    (kept,) = api.get(f"/identities/{g.me}/failed-service-requests").ok()
    assert (kept["serviceId"], kept["sessionType"]) == (g.service, "Dial")
    (failure,) = kept["policyFailures"]
    (check,) = failure["checks"]
    assert failure["policyId"] == g.policy
    assert (check["actualValue"], check["expectedValue"]) == ("bad.example", ["good.example"])


@pytest.mark.parametrize("kind", [*CHECKS, "MFA"])
def test_refusals_of_every_type_have_both_values(guarded, api, kind):
    """Actual and expected value, for whatever was asked."""
    g = guarded({"typeId": kind, **CHECKS.get(kind, {})})
    g.dial()
    (kept,) = api.get(f"/identities/{g.me}/failed-service-requests").ok()
    (check,) = kept["policyFailures"][0]["checks"]
    assert check["postureCheckType"] == kind
    assert {"actualValue", "expectedValue"} <= check.keys()


def test_reports_are_shown(guarded, api):
    """The administrator sees what was reported last, and when."""
    g = guarded({"typeId": "DOMAIN", "domains": ["x"]})
    before = api.get(f"/identities/{g.me}/posture-data").ok()
    assert before["domain"] == {"lastUpdatedAt": None, "postureCheckId": "", "timedOut": False, "domain": None}
    g.report({"typeId": "DOMAIN", "domain": "d"}, {"typeId": "OS", "type": "Linux", "version": "6"}, RUNNING)
    after = api.get(f"/identities/{g.me}/posture-data").ok()
    assert (after["domain"]["domain"], after["domain"]["postureCheckId"]) == ("d", g.check)
    assert (after["os"]["type"], after["os"]["version"]) == ("Linux", "6")
    (process,) = after["processes"]
    assert (process["isRunning"], process["binaryHash"]) == (True, "ab")
    (session,) = after["apiSessionPostureData"].values()
    assert session["mfa"]["passedMfa"] is False


def test_a_report_moves_the_clients_own_clock(guarded, api, controller):
    """Whoever reported is told to look at its services again, and nobody else is."""
    path = "/current-api-session/service-updates"
    other = guarded({"typeId": "DOMAIN", "domains": ["x"]})
    g = guarded({"typeId": "DOMAIN", "domains": ["x"]})
    mine, theirs = g.client.get(path).ok(), other.client.get(path).ok()
    g.report({"typeId": "DOMAIN", "domain": "x"})
    assert g.client.get(path).ok()["lastChangeAt"] > mine["lastChangeAt"]
    assert other.client.get(path).ok() == theirs


# --- second factor


def session_of(g: Guarded) -> str:
    key = g.client.get("/current-api-session").ok()["id"]
    assert isinstance(key, str)
    return key


def passed_factor(controller: Any, g: Guarded, ago: float) -> None:
    """Put the time at which the second factor was given so many seconds back."""
    at = int((time.time() - ago) * 1000)
    sql(controller, "UPDATE api_session SET mfa_passed_at = ? WHERE id = ?", at, session_of(g))


@pytest.mark.parametrize(("timeout", "ago", "passes"), [(-1, 99999, True), (600, 10, True), (600, 601, False)])
def test_second_factor_times_out(guarded, controller, timeout, ago, passes):
    g = guarded({"typeId": "MFA", "timeoutSeconds": timeout})
    assert g.query()["isPassing"] is False
    passed_factor(controller, g, ago)
    asked = g.query()
    assert (asked["isPassing"], asked["timeout"]) == (passes, timeout)
    assert asked["timeoutRemaining"] == -1 if timeout < 0 else 0 <= asked["timeoutRemaining"] <= timeout - ago + 1


@pytest.mark.parametrize(("event", "prompt"), [("woken", "promptOnWake"), ("unlocked", "promptOnUnlock")])
def test_second_factor_after_waking_or_unlocking(guarded, controller, event, prompt):
    """For five minutes the old factor is enough, then a new one is needed."""
    g = guarded({"typeId": "MFA", "timeoutSeconds": 3600, prompt: True})
    passed_factor(controller, g, 1000)
    (told,) = g.report({"typeId": "ENDPOINT_STATE", event: True})["services"]
    assert (told["id"], told["postureQueryType"], told["timeout"]) == (g.service, "MFA", 3600)
    assert 0 < told["timeoutRemaining"] <= 300
    assert g.query()["isPassing"] is True
    column = f"{event}_at"
    sql(controller, f"UPDATE endpoint_state SET {column} = {column} - 301000 WHERE api_session_id = ?", session_of(g))
    assert g.query()["isPassing"] is False
    passed_factor(controller, g, 0)
    assert g.query()["isPassing"] is True


# --- the rows


def test_patch_changes_one_property(api):
    """What a patch leaves out stays, also inside a process."""
    body = {"name": unique("c"), "typeId": "PROCESS", **CHECKS["PROCESS"]}
    key = api.create("/posture-checks", body)
    api.patch(f"/posture-checks/{key}", {"typeId": "PROCESS", "process": {**LINUX, "path": "/bin/z"}}).ok()
    process = api.detail("/posture-checks", key)["process"]
    assert process == {"osType": "Linux", "path": "/bin/z", "hashes": ["AB"], "signerFingerprint": "aa:01"}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 602, "typeId"),
        ({"typeId": "OS"}, 400, "operatingSystems"),
        ({"typeId": "OS", "operatingSystems": [{"type": "BeOS", "versions": []}]}, 400, "operatingSystems.0.type"),
        ({"typeId": "OS", "operatingSystems": BAD_RANGE}, 400, "operatingSystems.0.versions.0"),
        ({"typeId": "MAC", "macAddresses": []}, 400, "macAddresses"),
        ({"typeId": "PROCESS", "process": {"osType": "Linux"}}, 400, "process.path"),
        ({"typeId": "PROCESS_MULTI", "processes": [LINUX]}, 400, "semantic"),
    ],
)
def test_bad_checks(api, body, status, field):
    answer = api.post("/posture-checks", {"name": unique("c"), **body})
    assert answer.status == status
    assert answer.error["cause"]["field"] == field


def test_a_check_keeps_its_type(api):
    key = api.create("/posture-checks", {"name": unique("c"), "typeId": "MFA"})
    answer = api.patch(f"/posture-checks/{key}", {"typeId": "DOMAIN", "domains": ["x"]})
    assert (answer.status, answer.error["cause"]["field"]) == (400, "typeId")


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 602), ({"typeId": "FOO", "id": "x"}, 400), ({"typeId": "DOMAIN", "id": "x"}, 400), ([], 400), (5, 400)],
)
def test_bad_reports(guarded, body, status):
    g = guarded({"typeId": "MFA"})
    assert g.client.post("/posture-response", body).status == status


def test_reports_are_not_for_the_management_api(api):
    assert api.on(MANAGEMENT).post("/posture-response", {}).status == 404


def test_types(api):
    """There are five; the second factor is none of them."""
    listed = api.get("/posture-check-types").ok()
    assert [t["id"] for t in listed] == ["DOMAIN", "MAC", "OS", "PROCESS", "PROCESS_MULTI"]
    assert api.detail("/posture-check-types", "OS") == listed[2]
    assert api.get("/posture-check-types/MFA").status == 404


# --- ranges of versions


@pytest.mark.parametrize(
    ("version", "text", "expected"),
    [
        ("10.0.19045", ">=10.0.0", True),
        ("10", "10.0.0", True),
        ("9.9", ">=10", False),
        ("1.2.3", ">=1.0.0 <2.0.0", True),
        ("2.0.0", ">=1.0.0 <2.0.0", False),
        ("3.1", "<1 || >=3", True),
        ("1.2.9", "1.2.x", True),
        ("1.3.0", "1.2.x", False),
        ("1.3.0", ">1.2.x", True),
        ("1.3.0", "!=1.3.0", False),
        ("v6.1-generic", ">6", True),
        ("", ">0", False),
        ("unknown", ">=0", False),
    ],
)
def test_ranges(version, text, expected):
    assert matches(version, text) is expected


@pytest.mark.parametrize("text", ["", "bogus", ">=", "1 ||", "!1.x", "1.2.3 x"])
def test_no_ranges(text):
    with pytest.raises(VersionError):
        parse_range(text)
