"""How far this controller answers like the real one: record, compare, count.

Needs the folder with the recordings (`../shared` beside the checkout): its recorder drives a fresh
controller of ours through every recorded step, its comparer counts what agrees.

The recorder was written for the real controller. Three things are done so that the steps after a
deliberate difference (docs/differences.md) are measured as well, and not cut off with it:
- the scenery that the recordings were made in is set up first: one router with tunneler, two policies;
- where we refuse an ottca token for an unverified CA, the identity is made without it;
- where /enroll/erott works here and spends the router's token, later steps get the router's fresh one.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

SHARED = Path(__file__).resolve().parents[2] / "shared"
TOPICS = (
    "root authenticate identities query enrollments enroll_ott enroll_ottca enroll_ca enroll_updb cas "
    "routers transit_routers authenticators"
).split()
MANAGEMENT = "/edge/management/v1"
CLIENT = "/edge/client/v1"


def load(name: str) -> ModuleType:
    """Import one of the recordings' tools by its path."""
    spec = importlib.util.spec_from_file_location(name, SHARED / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
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

            make("/edge-routers", {"name": "router-instance-1", "isTunnelerEnabled": True, "roleAttributes": ["public"]})
            erp = {"name": "all-endpoints-public-routers", "semantic": "AnyOf"}
            make("/edge-router-policies", {**erp, "edgeRouterRoles": ["#public"], "identityRoles": ["#all"]})
            serp = {"name": "all-routers-all-services", "semantic": "AnyOf"}
            make("/service-edge-router-policies", {**serp, "edgeRouterRoles": ["#all"], "serviceRoles": ["#all"]})
            info = {"arch": "amd64", "os": "linux", "osRelease": "6", "osVersion": "v"}
            login = {"username": self.a.user, "password": self.a.password, "envInfo": info}
            login["sdkInfo"] = {"type": "ziti-sdk-golang", "version": "v2.0.0"}
            super().call("", "POST", f"{CLIENT}/authenticate", login, q={"method": "password"}, session=None, record=False)

    return Recorder


def record(url: str, user: str, password: str, out: Path, topics: list[str]) -> None:
    """Drive the controller at `url` through the steps of `topics` and write its answers to `out`."""
    tool = load("record_answers")
    options = SimpleNamespace(url=url, user=user, password=password, out=str(out), tag="", ziti=None, hide=None)
    r = recorder_class(tool)(options)
    r.login_admin()
    r.scenery()
    made_with = {"transit_routers": "routers"}  # recorded in one go
    for topic, run in tool.TOPICS.items():
        if topic in {made_with.get(t, t) for t in topics}:
            try:
                run(r)
            except Exception as e:
                print(f"{topic}: stopped after {r.steps[-1]['name']!r}: {e!r}", file=sys.stderr)
            r.save()


def compare(out: Path, topics: list[str]) -> dict[str, Any]:
    """Counts per topic and in total: steps, status, code, agrees (whole answers)."""
    command = [sys.executable, str(SHARED / "tools" / "compare_answers.py"), str(SHARED / "reference"), str(out)]
    done = subprocess.run([*command, "--only", ",".join(topics), "--json"], capture_output=True, text=True, check=True)
    counted: dict[str, Any] = json.loads(done.stdout)
    return counted


def main() -> int:
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
    tool = SHARED / "tools" / "compare_answers.py"
    command = [sys.executable, str(tool), str(SHARED / "reference"), str(o.out), "--only", o.only]
    return subprocess.run([*command, "--show", str(o.show)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
