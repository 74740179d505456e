"""A network that looks like somebody's: devices in all states, services, policies, authorities, hostile names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.certificates import CA
from tests.controllers import Api, Controller
from tests.flows import enroll_ott, import_ca, in_the_past, sql, text_time

HOSTILE = (
    "<img src=x onerror=\"document.title='broken'\">",
    "\u202egnp.exe\u202c right to left",
    "long " + "x" * 195,
    "</script><script>alert(1)</script>",
    "quote \" ' ` and \\ backslash",
)
LINES = ("line-a", "line-b", "line-c")


@dataclass(frozen=True)
class Demo:
    """Ids of what was made: by entity, in order."""

    ids: dict[str, list[str]]

    def first(self, path: str) -> str:
        """The id of the first one of an entity."""
        return self.ids[path][0]


def fill(controller: Controller, api: Api, folder: Path, *, devices: int = 48) -> Demo:
    """Make it all."""
    demo = Demo({})
    _devices(controller, api, folder, demo, devices)
    _routers(api, demo)
    _services(api, demo)
    _policies(api, demo)
    _sign_in(api, demo)
    _authorities(api, demo)
    return demo


def _add(api: Api, demo: Demo, path: str, body: dict[str, Any]) -> str:
    key = api.create(f"/{path}", body)
    demo.ids.setdefault(path, []).append(key)
    return key


def _devices(controller: Controller, api: Api, folder: Path, demo: Demo, devices: int) -> None:
    for number in range(1, devices + 1):
        attributes = ["plant-7" if number % 3 else "lab", LINES[number % 3]]
        joining = {"ott": True, **({"expiresAt": text_time(hours=2, minutes=59)} if number % 5 == 0 else {})}
        body = {"name": f"box-{number:04d}", "type": "Device", "isAdmin": False, "enrollment": joining}
        key = _add(api, demo, "identities", {**body, "roleAttributes": attributes, "tags": {"rack": f"R{number % 7}"}})
        if number % 5:
            enroll_ott(controller, api.detail("/identities", key)["enrollment"]["ott"]["token"], folder)
        if number % 10 == 0:
            sql(controller, "UPDATE enrollment SET expires_at = ? WHERE identity_id = ?", in_the_past(), key)
        if number % 19 == 0:
            api.post(f"/identities/{key}/disable", {"durationMinutes": 0}).ok()
    for name in HOSTILE:
        _add(api, demo, "identities", {"name": name, "type": "Device", "isAdmin": False, "enrollment": {"ott": True}})
    api.patch(
        f"/identities/{demo.first('identities')}", {"name": "box-0001", "tags": {"rack": "R1", "note": HOSTILE[0]}}
    )


def _routers(api: Api, demo: Demo) -> None:
    for number in (1, 2, 3):
        body = {"name": f"edge-{number}", "roleAttributes": ["public"] if number < 3 else ["plant-7"]}
        _add(api, demo, "edge-routers", {**body, "isTunnelerEnabled": number == 3})
    _add(api, demo, "transit-routers", {"name": "spine-1"})


def _services(api: Api, demo: Demo) -> None:
    kinds = {row["name"]: row["id"] for row in api.get("/config-types", limit=100).ok()}
    demo.ids["config-types"] = list(kinds.values())
    intercept = {"protocols": ["tcp"], "addresses": ["erp.plant7.internal"], "portRanges": [{"low": 443, "high": 443}]}
    config = {"name": "erp-intercept", "configTypeId": kinds["intercept.v1"], "data": intercept}
    key = _add(api, demo, "configs", config)
    for name in ("erp", "mqtt-broker", "ssh-maintenance", "historian", "camera-feed", "firmware-mirror"):
        body = {"name": name, "encryptionRequired": True, "roleAttributes": ["plant-7", name.split("-")[0]]}
        _add(api, demo, "services", {**body, "configs": [key] if name == "erp" else []})
    terminator = {"service": demo.first("services"), "router": demo.first("transit-routers"), "binding": "transport"}
    _add(api, demo, "terminators", {**terminator, "address": "tcp:10.0.3.7:443"})


def _policies(api: Api, demo: Demo) -> None:
    for name, kind, who, what in (
        ("plant-7 may use ERP", "Dial", ["#plant-7"], ["#erp"]),
        ("maintenance", "Dial", ["#lab", f"@{demo.first('identities')}"], ["#ssh"]),
        ("broker is offered by the lab", "Bind", ["#lab"], ["#mqtt"]),
    ):
        body = {"name": name, "type": kind, "semantic": "AnyOf", "identityRoles": who, "serviceRoles": what}
        _add(api, demo, "service-policies", body)
    body = {"name": "all over public routers", "semantic": "AnyOf", "edgeRouterRoles": ["#public"]}
    _add(api, demo, "edge-router-policies", {**body, "identityRoles": ["#all"]})
    _add(api, demo, "service-edge-router-policies", {**body, "serviceRoles": ["#all"]})
    check = {"name": "Linux 5 or later", "typeId": "OS", "roleAttributes": ["plant-7"]}
    _add(api, demo, "posture-checks", {**check, "operatingSystems": [{"type": "Linux", "versions": [">=5.0.0"]}]})


def _sign_in(api: Api, demo: Demo) -> None:
    primary = {
        "cert": {"allowed": True, "allowExpiredCerts": False},
        "extJwt": {"allowed": False, "allowedSigners": []},
        "updb": {
            "allowed": False,
            "lockoutDurationMinutes": 15,
            "maxAttempts": 5,
            "minPasswordLength": 12,
            "requireMixedCase": True,
            "requireNumberChar": True,
            "requireSpecialChar": False,
        },
    }
    body = {"name": "certificates only", "primary": primary, "secondary": {"requireTotp": False}}
    _add(api, demo, "auth-policies", body)
    signer = {"name": "company login", "audience": "zitilite", "issuer": "https://login.example", "enabled": True}
    pem = CA.root("login.example").leaf("login.example").pem
    _add(api, demo, "external-jwt-signers", {**signer, "certPem": pem, "kid": "1", "claimsProperty": "sub"})
    revoked = {"id": demo.ids["identities"][-1], "type": "IDENTITY"}
    api.post("/revocations", revoked).ok(201)
    demo.ids["revocations"] = [revoked["id"]]


def _authorities(api: Api, demo: Demo) -> None:
    lab = import_ca(api, CA.root("Lab Root"), name="lab", identityRoles=["lab"])
    plant = import_ca(api, CA.root("Plant 7 Issuing CA"), verified=False, name="plant-7")
    demo.ids["cas"] = [lab, plant]
