"""Posture: what endpoints report about themselves, and whether it passes the checks of a policy.

Reports belong to the identity, as the real controller keeps them; waking, unlocking and the second
factor belong to the API session. Source: POST /posture-response and /posture-response-bulk,
/identities/{id}/posture-data and …/failed-service-requests; recorded answers of topic `client`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain import roles
from domain.context import Context
from domain.network.posture_checks import plain_hex
from domain.network.versions import matches
from models import (
    ApiSession,
    EndpointState,
    FailedServiceRequest,
    PolicyMember,
    PostureCheck,
    PostureReport,
    Service,
    ServicePolicy,
)
from wire.resource import (
    BOOL,
    CLIENT,
    Action,
    Body,
    Field,
    Kind,
    Result,
    Variants,
    links,
    now_ms,
    text,
    time_text,
)

GRACE_MS = 5 * 60_000  # how long after waking or unlocking the second factor may be missing
KEPT_FAILURES = 100
KEPT_REPORTS = 500
NO_TIMEOUT = -1


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is known of the endpoint behind one API session, at the time `now`."""

    reports: Mapping[str, Any]
    now: int
    mfa_at: int | None
    woken_at: int | None
    unlocked_at: int | None

    def process(self, path: str, os_type: str) -> Mapping[str, Any]:
        """What was reported of the program at a path; Windows does not tell case apart."""
        if os_type.startswith("Windows"):
            path = path.lower()
            found = (v for k, v in self.reports.items() if k.lower() == f"process:{path}")
            return next(found, {})
        report: Mapping[str, Any] = self.reports.get(f"process:{path}", {})
        return report


def endpoint_of(session: ApiSession) -> Endpoint:
    """Read what the identity of an API session reported."""
    rows = PostureReport.select().where(PostureReport.identity == session.identity_id)
    state = EndpointState.get_or_none(EndpointState.api_session == session.id)
    return Endpoint(
        reports={r.subject: r.value for r in rows},
        now=now_ms(),
        mfa_at=session.mfa_passed_at,
        woken_at=state.woken_at if state else None,
        unlocked_at=state.unlocked_at if state else None,
    )


# --- does a check pass


def _os(p: Mapping[str, Any], e: Endpoint) -> bool:
    system = e.reports.get("os") or {}
    ranges = [s["versions"] for s in p["operatingSystems"] if s["type"] == system.get("type")]
    return any(not r or any(matches(system.get("version") or "", text) for text in r) for r in ranges)


def _domain(p: Mapping[str, Any], e: Endpoint) -> bool:
    mine = str(e.reports.get("domain") or "").lower()
    return bool(mine) and mine in {d.lower() for d in p["domains"]}


def _mac(p: Mapping[str, Any], e: Endpoint) -> bool:
    return bool({plain_hex(a) for a in e.reports.get("mac") or ()} & set(p["macAddresses"]))


def _runs(wanted: Mapping[str, Any], signers: Sequence[str], e: Endpoint) -> bool:
    found = e.process(wanted["path"], wanted["osType"])
    if not found.get("isRunning"):
        return False
    hashes = {h.lower() for h in wanted.get("hashes") or ()}
    if hashes and str(found.get("hash") or "").lower() not in hashes:
        return False
    mine = {plain_hex(s) for s in found.get("signerFingerprints") or ()}
    return not signers or bool(mine & {plain_hex(s) for s in signers})


def _process(p: Mapping[str, Any], e: Endpoint) -> bool:
    wanted = p["process"]
    signer = wanted.get("signerFingerprint")
    return _runs(wanted, [signer] if signer else [], e)


def _processes(p: Mapping[str, Any], e: Endpoint) -> bool:
    results = (_runs(w, w.get("signerFingerprints") or (), e) for w in p["processes"])
    return all(results) if p["semantic"] == "AllOf" else any(results)


def _mfa(p: Mapping[str, Any], e: Endpoint) -> bool:
    return all(_mfa_values(p, e)[k] for k in ("passedMfa", "passedOnWake", "passedOnUnlock")) and (
        timeout_remaining(p, e) != 0
    )


def _mfa_values(p: Mapping[str, Any], e: Endpoint) -> dict[str, bool]:
    return {
        "passedMfa": e.mfa_at is not None,
        "passedOnWake": not p.get("promptOnWake") or _prompted(e.woken_at, e),
        "passedOnUnlock": not p.get("promptOnUnlock") or _prompted(e.unlocked_at, e),
    }


def _prompted(event_at: int | None, e: Endpoint) -> bool:
    """Whether the second factor came after an event, or may still come."""
    return event_at is None or (e.mfa_at is not None and e.mfa_at >= event_at) or e.now < event_at + GRACE_MS


def timeout_remaining(p: Mapping[str, Any], e: Endpoint) -> int:
    """Seconds until the second factor has to be given again; -1 for never."""
    timeout = int(p.get("timeoutSeconds", NO_TIMEOUT))
    if timeout <= 0:
        return NO_TIMEOUT
    ends = [] if e.mfa_at is None else [e.mfa_at + timeout * 1000]
    for event_at, asked in ((e.woken_at, p.get("promptOnWake")), (e.unlocked_at, p.get("promptOnUnlock"))):
        if asked and event_at is not None and e.mfa_at is not None and e.mfa_at < event_at:
            ends.append(event_at + GRACE_MS)
    return max(0, (min(ends) - e.now) // 1000) if ends else 0


PASSES: dict[str, Callable[[Mapping[str, Any], Endpoint], bool]] = {
    "OS": _os,
    "DOMAIN": _domain,
    "MAC": _mac,
    "PROCESS": _process,
    "PROCESS_MULTI": _processes,
    "MFA": _mfa,
}


def passes(check: PostureCheck, e: Endpoint) -> bool:
    """Whether an endpoint passes a check; what was never reported does not."""
    return PASSES[check.type](check.properties, e)


def checks_of(policies: Sequence[str]) -> dict[str, list[PostureCheck]]:
    """The checks that each of the policies asks for."""
    m = PolicyMember
    found: dict[str, list[PostureCheck]] = {}
    query = (
        m.select(m.policy, PostureCheck)
        .join(PostureCheck, on=(PostureCheck.id == m.entity), attr="check")
        .where(m.side == "posture", m.policy.in_(list(policies)))
        .order_by(PostureCheck.id)
    )
    for member in query:
        found.setdefault(member.policy, []).append(member.check)
    return found


def query_of(check: PostureCheck, e: Endpoint) -> dict[str, Any]:
    """A check as it is asked of the endpoint, with how it stands."""
    p = check.properties
    doc: dict[str, Any] = {
        "_links": links("posture-checks", check.id),
        "createdAt": time_text(check.created_at),
        "id": check.id,
        "tags": check.tags,
        "updatedAt": time_text(check.updated_at),
        "isPassing": passes(check, e),
        "processes": None,
        "queryType": check.type,
        "timeout": NO_TIMEOUT,
        "timeoutRemaining": NO_TIMEOUT,
    }
    if check.type == "PROCESS":
        doc["process"] = _asked(p["process"])
    elif check.type == "PROCESS_MULTI":
        doc["processes"] = [_asked(one) for one in p["processes"]]
    elif check.type == "MFA":
        doc |= {name: True for name in ("promptOnWake", "promptOnUnlock") if p.get(name)}
        doc |= {"timeout": p["timeoutSeconds"], "timeoutRemaining": timeout_remaining(p, e)}
    return doc


def _asked(process: Mapping[str, Any]) -> dict[str, Any]:
    return {"osType": process["osType"], "path": process["path"]}


# --- refused service sessions


def failures(policies: Sequence[ServicePolicy], session: ApiSession) -> dict[str, list[PostureCheck]] | None:
    """The failing checks of each policy, or None if at least one policy has none."""
    e = endpoint_of(session)
    checks = checks_of([p.id for p in policies])
    failing = {p.id: [c for c in checks.get(p.id, []) if not passes(c, e)] for p in policies}
    return failing if all(failing.values()) else None


def note_failure(
    ctx: Context, service: Service, kind: str, policies: Sequence[ServicePolicy], failing: Mapping[str, Any]
) -> None:
    """Keep what GET /identities/{id}/failed-service-requests shows. Needs a write transaction."""
    session = ctx.my_session
    e = endpoint_of(session)
    document = {
        "apiSessionId": session.id,
        "policyFailures": [
            {"policyId": p.id, "policyName": p.name, "checks": [_failed(c, e) for c in failing[p.id]]} for p in policies
        ],
        "serviceId": service.id,
        "serviceName": service.name,
        "sessionType": kind,
        "when": time_text(e.now),
    }
    f = FailedServiceRequest
    f.create(identity=ctx.me.id, at=e.now, document=document)
    newest = f.select(f.id).where(f.identity == ctx.me.id).order_by(f.id.desc()).limit(KEPT_FAILURES)
    f.delete().where(f.identity == ctx.me.id, f.id.not_in(newest)).execute()


def _failed(check: PostureCheck, e: Endpoint) -> dict[str, Any]:
    p = check.properties
    more: dict[str, Any] = {}
    match check.type:
        case "OS":
            system = e.reports.get("os") or {}
            actual: Any = {"type": system.get("type", ""), "version": system.get("version", "")}
            expected: Any = p["operatingSystems"]
        case "DOMAIN":
            actual, expected = e.reports.get("domain") or "", p["domains"]
        case "MAC":
            actual, expected = e.reports.get("mac") or [], p["macAddresses"]
        case "PROCESS":
            actual, expected = _actual(p["process"], e), p["process"]
        case "PROCESS_MULTI":
            actual, expected = [_actual(w, e) for w in p["processes"]], p["processes"]
            more["semantic"] = p["semantic"]
        case _:
            actual = {**_mfa_values(p, e), "timedOut": timeout_remaining(p, e) == 0}
            expected = {"passedMfa": True, "passedOnWake": True, "passedOnUnlock": True, "timedOut": False}
            more["criteria"] = _criteria(p, e)
    named = {"postureCheckId": check.id, "postureCheckName": check.name, "postureCheckType": check.type}
    return {"actualValue": actual, "expectedValue": expected, **named, **more}


def _actual(wanted: Mapping[str, Any], e: Endpoint) -> dict[str, Any]:
    found = e.process(wanted["path"], wanted["osType"])
    return {
        "hash": found.get("hash", ""),
        "isRunning": bool(found.get("isRunning")),
        "osType": wanted["osType"],
        "path": wanted["path"],
        "signerFingerprints": found.get("signerFingerprints", []),
    }


def _criteria(p: Mapping[str, Any], e: Endpoint) -> dict[str, Any]:
    return {
        "passedMfaAt": time_text(e.mfa_at),
        "timeoutRemainingSeconds": timeout_remaining(p, e),
        "timeoutSeconds": p["timeoutSeconds"],
        "unlockedAt": time_text(e.unlocked_at),
        "wokenAt": time_text(e.woken_at),
    }


def failed_service_requests(ctx: Context, id: str) -> Any:
    """GET /identities/{id}/failed-service-requests."""
    f = FailedServiceRequest
    return [row.document for row in f.select().where(f.identity == id).order_by(f.id)]


# --- reports


def respond(ctx: Context) -> Result:
    """POST /posture-response: keep one report."""
    return _keep_all(ctx, [ctx.body])


def respond_bulk(ctx: Context) -> Result:
    """POST /posture-response-bulk: keep several reports."""
    return _keep_all(ctx, ctx.body)


def _keep_all(ctx: Context, responses: Sequence[Mapping[str, Any]]) -> Result:
    for response in responses:
        _keep(ctx, response)
    _forget_oldest(ctx.me.id)
    state_changed = any(r["typeId"] == "ENDPOINT_STATE" for r in responses)
    return Result({"services": _timeouts(ctx) if state_changed else []}, status=201)


def _keep(ctx: Context, r: Mapping[str, Any]) -> None:
    now = now_ms()
    match r["typeId"]:
        case "DOMAIN":
            subject, value = "domain", r["domain"]
        case "MAC":
            subject, value = "mac", [plain_hex(a) for a in r["macAddresses"]]
        case "OS":
            subject, value = "os", {k: r.get(k) for k in ("type", "version", "build")}
        case "PROCESS":
            subject = f"process:{r.get('path') or _path_of(r['id'])}"
            value = {k: r[k] for k in ("hash", "isRunning", "signerFingerprints") if k in r}
        case _:
            _note_state(ctx.my_session.id, r, now)
            return
    row = {"identity": ctx.me.id, "subject": subject, "check_id": r["id"], "value": value, "updated_at": now}
    PostureReport.replace(**row).execute()


def _forget_oldest(identity: str) -> None:
    """Keep the newest reports of an identity, so that no endpoint can fill the disk."""
    r = PostureReport
    newest = r.select(r.subject).where(r.identity == identity).order_by(r.updated_at.desc()).limit(KEPT_REPORTS)
    r.delete().where(r.identity == identity, r.subject.not_in(newest)).execute()


def _path_of(check_id: str) -> str:
    """The path of a process check, for endpoints that answer by its id alone."""
    check = PostureCheck.get_or_none(PostureCheck.id == check_id, PostureCheck.type == "PROCESS")
    return str(check.properties["process"]["path"]) if check else ""


def _note_state(session_id: str, r: Mapping[str, Any], now: int) -> None:
    old = EndpointState.get_or_none(EndpointState.api_session == session_id)
    EndpointState.replace(
        api_session=session_id,
        woken_at=now if r.get("woken") else old and old.woken_at,
        unlocked_at=now if r.get("unlocked") else old and old.unlocked_at,
    ).execute()


def _timeouts(ctx: Context) -> list[dict[str, Any]]:
    """The caller's services whose second factor has a time limit, after a change of the endpoint's state."""
    e = endpoint_of(ctx.my_session)
    m = PolicyMember
    mine = roles.policies_of(ServicePolicy, "identity", ctx.me.id)
    checks = {
        policy: [c for c in found if c.type == "MFA" and c.properties["timeoutSeconds"] > 0]
        for policy, found in checks_of([p for (p,) in mine.tuples()]).items()
    }
    query = (
        m.select(m.policy, Service)
        .join(Service, on=(Service.id == m.entity), attr="granted")
        .where(m.side == "service", m.policy.in_([p for p, found in checks.items() if found]))
        .order_by(Service.id)
    )
    return [
        {
            "id": member.granted.id,
            "name": member.granted.name,
            "postureQueryType": "MFA",
            "timeout": check.properties["timeoutSeconds"],
            "timeoutRemaining": timeout_remaining(check.properties, e),
        }
        for member in query
        for check in checks[member.policy]
    ]


def last_report(identity: str) -> int:
    """When an identity's endpoint last reported something; milliseconds since the epoch, 0 for never."""
    r = PostureReport
    newest = r.select(r.updated_at).where(r.identity == identity).order_by(r.updated_at.desc()).first()
    return int(newest.updated_at) if newest else 0


def posture_data(ctx: Context, id: str) -> Any:
    """GET /identities/{id}/posture-data: what the identity's endpoints reported last."""
    rows = {r.subject: r for r in PostureReport.select().where(PostureReport.identity == id)}
    system = rows["os"].value if "os" in rows else dict.fromkeys(("build", "type", "version"))
    return {
        "apiSessionPostureData": _session_data(id),
        "domain": {**_base(rows.get("domain")), "domain": rows["domain"].value if "domain" in rows else None},
        "mac": {**_base(rows.get("mac")), "addresses": rows["mac"].value if "mac" in rows else None},
        "os": {**_base(rows.get("os")), **system},
        "processes": [_process_data(r) for s, r in sorted(rows.items()) if s.startswith("process:")],
    }


def _base(row: PostureReport | None) -> dict[str, Any]:
    at, check = (time_text(row.updated_at), row.check_id) if row else (None, "")
    return {"lastUpdatedAt": at, "postureCheckId": check, "timedOut": False}


def _process_data(row: PostureReport) -> dict[str, Any]:
    v = row.value
    shown = {"binaryHash": v.get("hash", ""), "isRunning": bool(v.get("isRunning"))}
    return {**_base(row), **shown, "signerFingerprints": v.get("signerFingerprints", [])}


def _session_data(identity: str) -> dict[str, Any]:
    found = {}
    live = ApiSession.select().where(ApiSession.identity == identity, ApiSession.expires_at > now_ms())
    for session in live.order_by(ApiSession.id):
        e = endpoint_of(session)
        found[session.id] = {
            "endpointState": {"unlockedAt": time_text(e.unlocked_at), "wokenAt": time_text(e.woken_at)},
            "mfa": {
                "apiSessionId": session.id,
                "passedAt": time_text(e.mfa_at),
                "passedMfa": e.mfa_at is not None,
                "passedOnUnlock": _passed_since(e.unlocked_at, e),
                "passedOnWake": _passed_since(e.woken_at, e),
            },
            "sdkInfo": session.identity.sdk_info,
        }
    return found


def _passed_since(event_at: int | None, e: Endpoint) -> bool | None:
    return None if event_at is None else e.mfa_at is not None and e.mfa_at >= event_at


def _response(kind: str, *fields: Field) -> Body:
    common = (Field("id", _WORD, required="c"), Field("typeId"))
    return Body("postureResponse", f"PostureResponse{kind}Create", (*common, *fields))


# Any endpoint may send these, so they have limits of our own.
_WORD, _PATH = text(0, 512), text(0, 4096)
_WORDS = Kind("strings", {"type": "array", "items": _WORD.schema, "maxItems": 256}, "[]string", symbol="set", empty=[])
_BODIES = {
    "OS": _response(
        "OperatingSystem",
        Field("type", _WORD, required="c"),
        Field("version", _WORD, required="c"),
        Field("build", _WORD),
    ),
    "DOMAIN": _response("Domain", Field("domain", _WORD, required="c")),
    "MAC": _response("MacAddress", Field("macAddresses", _WORDS, required="c")),
    "PROCESS": _response(
        "Process",
        Field("path", _PATH),
        Field("isRunning", BOOL),
        Field("hash", _WORD),
        Field("signerFingerprints", _WORDS),
    ),
    "ENDPOINT_STATE": _response("EndpointState", Field("woken", BOOL), Field("unlocked", BOOL)),
}
ONE, BULK = Variants("postureResponse", _BODIES), Variants("postureResponse", _BODIES, is_array=True)
_ITEM = "/identities/{id}"

ACTIONS = (
    Action("POST", "/posture-response", respond, "session", (CLIENT,), ONE, write=True, summary="Report one thing"),
    Action(
        "POST", "/posture-response-bulk", respond_bulk, "session", (CLIENT,), BULK, write=True, summary="Report several"
    ),
    Action("GET", f"{_ITEM}/failed-service-requests", failed_service_requests, "identity.read"),
    Action("GET", f"{_ITEM}/posture-data", posture_data, "identity.read", summary="What an identity reported"),
)
