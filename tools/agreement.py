"""How far this controller answers like the real one: record, compare, count.

Needs the folder with the recordings (`../shared` beside the checkout): its recorder drives a fresh
controller of ours through every recorded step, its comparer counts what agrees.

The recorder was written for the real controller. Three things are done so that the steps after a
deliberate difference (docs/differences.md) are measured as well, and not cut off with it:
- the scenery that the recordings were made in is set up first: one router with tunneler, two policies;
- where we refuse an ottca token for an unverified CA, the identity is made without it;
- where /enroll/erott works here and spends the router's token, later steps get the router's fresh one.

`--only fabric,health` is a run of its own on another fresh controller, started with `--metrics on`. Its
recordings were made with two real routers online; ours has no control channel, so the steps from "enrolled,
not running" on are missing here. Snapshots are asked for by name: a path of the caller's is refused here.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

SHARED = Path(__file__).resolve().parents[2] / "shared"
TOPICS = [
    "root",
    "authenticate",
    "identities",
    "query",
    "enrollments",
    "enroll_ott",
    "enroll_ottca",
    "enroll_ca",
    "enroll_updb",
    "cas",
    "routers",
    "transit_routers",
    "authenticators",
]
# recorded in one go with another topic
MADE_WITH = {
    "transit_routers": "routers",
    "configs": "services",
    "auth_policies": "policies",
    "posture_checks": "posture",
    "terminators": "posture",
    "api_sessions": "misc",
    "external_jwt_signers": "ext_jwt",
}
FABRIC_TOPICS = {"fabric", "health"}
FIRST_WITH_ROUTERS = "enrolled, not running: edge-router A"
# what a run of the recorder makes: all topics but the ones with a setup of their own
ALL_TOPICS = [
    *TOPICS,
    *("api_sessions", "auth_policies", "client", "configs", "external_jwt_signers", "mfa", "misc", "oidc"),
    *("policies", "posture_checks", "services", "terminators", "ziti_edge_enroll"),
]
MANAGEMENT = "/edge/management/v1"
CLIENT = "/edge/client/v1"


def load(name: str) -> ModuleType:
    """Import one of the recordings' tools by its path."""
    spec = importlib.util.spec_from_file_location(name, SHARED / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recorder_class(tool: ModuleType) -> Any:
    """The recorder, able to go on where ours differs on purpose."""

    class Recorder(tool.Recorder):  # type: ignore[name-defined,misc]
        replaced: dict[str, str] = {}

        def mk(self, path: str, body: dict[str, Any]) -> Any:
            try:
                return super().mk(path, body)
            except RuntimeError:
                if "ottca" not in (body.get("enrollment") or {}):
                    raise
                return super().mk(path, {**body, "enrollment": {"ott": True}})

        def call(self, name: str, method: str, path: str, body: Any = None, **more: Any) -> Any:
            if isinstance(body, dict) and body.get("token") in self.replaced:
                body = {**body, "token": self.replaced[body["token"]]}
            query = more.get("q")
            if isinstance(query, dict) and query.get("token") in self.replaced:
                more["q"] = {**query, "token": self.replaced[query["token"]]}
            if path.endswith("/database/snapshot") and isinstance(body, dict) and "/" in body.get("path", ""):
                body = {"path": Path(body["path"]).name}
            answer = super().call(name, method, path, body, **more)
            shown = answer.data if isinstance(answer.data, dict) else {}
            if name == "" and "ott" in (shown.get("enrollment") or {}):
                shown["enrollment"].setdefault("ottca", shown["enrollment"]["ott"])
            if path.endswith("/enroll/erott") and answer.status == 200:
                self.renew_router_token(body)
            return answer

        def renew_router_token(self, body: dict[str, Any]) -> None:
            found = [r for r in self.routers() if r["name"] == self.n("er-min")]
            key = found[0]["id"]
            super().call("", "POST", f"{MANAGEMENT}/edge-routers/{key}/re-enroll", record=False)
            fresh = next(r for r in self.routers() if r["id"] == key)["enrollmentToken"]
            self.replaced.update({old: fresh for old, new in self.replaced.items() if new == body["token"]})
            self.replaced[body["token"]] = fresh

        def routers(self) -> Any:
            return super().call("", "GET", f"{MANAGEMENT}/edge-routers", q={"limit": 500}, record=False).data

        def scenery(self) -> None:
            def make(path: str, body: dict[str, Any]) -> None:
                super(Recorder, self).call("", "POST", MANAGEMENT + path, body, record=False)

            make(
                "/edge-routers", {"name": "router-instance-1", "isTunnelerEnabled": True, "roleAttributes": ["public"]}
            )
            erp = {"name": "all-endpoints-public-routers", "semantic": "AnyOf"}
            make("/edge-router-policies", {**erp, "edgeRouterRoles": ["#public"], "identityRoles": ["#all"]})
            serp = {"name": "all-routers-all-services", "semantic": "AnyOf"}
            make("/service-edge-router-policies", {**serp, "edgeRouterRoles": ["#all"], "serviceRoles": ["#all"]})
            info = {
                "arch": "amd64",
                "os": "linux",
                "osRelease": "6.18.44-fc-v657",
                "osVersion": "#1 SMP PREEMPT_DYNAMIC @0",
            }
            login = {"username": self.a.user, "password": self.a.password, "envInfo": info}
            login["sdkInfo"] = {"type": "ziti-sdk-golang", "version": "v2.0.0"}
            how = {"q": {"method": "password"}, "session": None, "record": False}
            session = super().call("", "POST", f"{CLIENT}/authenticate", login, **how).data["token"]
            super().call("", "DELETE", f"{CLIENT}/current-api-session", session=session, record=False)
            self.enroll_scenery_router()

        def enroll_scenery_router(self) -> None:
            router = self.routers()[0]
            _, csr = tool.make_csr(cn=router["id"])
            token = {"method": "erott", "token": router["enrollmentToken"]}
            body = {"certCsr": csr, "serverCertCsr": csr}
            super().call("", "POST", f"{CLIENT}/enroll", body, q=token, session=None, record=False)

    return Recorder


def record(url: str, user: str, password: str, out: Path, topics: list[str]) -> None:
    """Drive the controller at `url` through the steps of `topics` and write its answers to `out`."""
    tool = load("record_answers")
    options = SimpleNamespace(url=url, user=user, password=password, out=str(out), tag="", ziti=None, hide=None)
    options.fast, options.unsafe, options.ctrl = False, False, None  # of record_fabric
    r = recorder_class(tool)(options)
    r.login_admin()
    if set(topics) - FABRIC_TOPICS:
        r.scenery()
    for topic, run in tool.TOPICS.items():
        if topic in {MADE_WITH.get(t, t) for t in topics}:
            try:
                run(r)
            except Exception as e:
                print(f"{topic}: stopped after {r.steps[-1]['name']!r}: {e!r}", file=sys.stderr)
            r.save()
    if FABRIC_TOPICS & set(topics):
        record_fabric(r)


def record_fabric(r: Any) -> None:
    """Make the steps of `health` and `fabric` that need no router."""
    sys.path.insert(0, str(SHARED / "tools"))  # one of the two tools imports the other
    tool = load("record_fabric")
    for topic in ("health", "fabric"):
        try:
            getattr(tool, topic)(r)
        except Exception as e:
            print(f"{topic}: stopped after {r.steps[-1]['name']!r}: {e!r}", file=sys.stderr)
    r.topic("health")
    r.get("later: the check has run", "/health-checks", session=None)
    r.get("later: type=short", "/health-checks", session=None, q={"type": "short"})
    r.save()


def standalone_reference(into: Path) -> Path:
    """The recordings with the steps that a standalone controller answers otherwise put in their place."""
    reference = SHARED / "reference"
    into.mkdir(parents=True, exist_ok=True)
    for file in reference.glob("*.json"):
        steps = json.loads(file.read_text())
        other = reference / "standalone" / file.name
        if isinstance(steps, list) and other.exists():
            replaced = {s["name"]: s for s in json.loads(other.read_text()) if "request" in s}
            steps = [replaced.get(s["name"], s) for s in steps]
        if file.name == "fabric.json":
            steps = without_routers(steps)
        (into / file.name).write_text(json.dumps(steps))
    return into


def without_routers(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps before the ones that need two real routers online: ours has no control channel for them."""
    names = [s.get("name", "") for s in steps]
    return steps[: names.index(FIRST_WITH_ROUTERS)]


def compare(reference: Path, out: Path, topics: list[str]) -> dict[str, Any]:
    """Counts per topic and in total: steps, status, code, agrees (whole answers)."""
    command = [sys.executable, str(SHARED / "tools" / "compare_answers.py"), str(reference), str(out)]
    done = subprocess.run([*command, "--only", ",".join(topics), "--json"], capture_output=True, text=True, check=True)
    counted: dict[str, Any] = json.loads(done.stdout)
    return counted


def differing(reference: Path, out: Path, topics: list[str]) -> list[tuple[str, str, list[str]]]:
    """Topic, step and what differs, for each step that does not agree."""
    tool = load("compare_answers")
    found = []
    for topic in topics:
        given = [s for s in json.loads((reference / f"{topic}.json").read_text()) if "request" in s]
        file = out / f"{topic}.json"
        queues: dict[str, list[Any]] = {}
        for s in json.loads(file.read_text()) if file.exists() else []:
            if "request" in s:
                queues.setdefault(s["name"], []).append(s)
        for s in given:
            queue = queues.get(s["name"]) or []
            level, lines = tool.judge(s, queue.pop(0) if queue else None)
            if level != "agrees":
                found.append((topic, s["name"], lines))
    return found


def listed_differences() -> list[str]:
    """The patterns `topic: step` of docs/differences.md."""
    page = (Path(__file__).parents[1] / "docs" / "differences.md").read_text()
    return re.findall(r"`([a-z_*]+: [^`]+)`", page)


def defects(reference: Path, topics: list[str]) -> set[tuple[str, str]]:
    """Topic and name of the steps where the real controller fails (5xx): nobody wants these answers."""
    return {
        (topic, s["name"])
        for topic in topics
        for s in json.loads((reference / f"{topic}.json").read_text())
        if "request" in s and s["response"]["status"] >= 500
    }


def show(title: str, counted: dict[str, Any]) -> None:
    """Print the counts as a table."""
    print(f"\n{title}\n{'topic':24}{'steps':>7}{'status':>8}{'code':>7}{'whole':>7}")
    total = counted["total"]
    for name, r in [*counted["topics"].items(), ("total", total)]:
        print(f"{name:24}{r['steps']:7}{r['status']:8}{r['code']:7}{r['agrees']:7}")
    print(f"agreement: code {total['code'] / total['steps']:.1%}, whole answer {total['agrees'] / total['steps']:.1%}")


def main() -> int:
    """Record and compare; the second table is against what a standalone controller answers."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--url", required=True)
    p.add_argument("--user", default="admin")
    p.add_argument("--password", required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--only", default=",".join(TOPICS))
    p.add_argument("--show", type=int, default=0, help="print that many differences")
    o = p.parse_args()
    topics = o.only.split(",")
    began = time.monotonic()
    record(o.url, o.user, o.password, o.out, topics)
    print(f"recorded in {time.monotonic() - began:.0f} s")
    standalone = standalone_reference(o.out / "standalone")
    for topic, step, lines in differing(standalone, o.out, topics)[: o.show]:
        print(f"\n[{topic}] {step}\n    " + "\n    ".join(lines[:12]))
    show("against the recordings of a cluster", compare(SHARED / "reference", o.out, topics))
    show("against what a standalone controller answers", compare(standalone, o.out, topics))
    return 0


if __name__ == "__main__":
    sys.exit(main())
