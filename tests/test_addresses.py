"""The controller's addresses: rows that change while it runs; certificate and tokens follow at once."""

from __future__ import annotations

import socket
import ssl

import jwt
import pytest
import requests
from cryptography import x509

from domain.care.sightings import Seen, Sightings
from tests.controllers import Controller
from tests.flows import (
    certified,
    enroll_ott,
    identity_body,
    login,
    pending,
    public_pem,
    served_certificate,
    sql,
    wait_until,
)

OWN = "/zitilite/v1"


@pytest.fixture
def own(make_controller):
    """A server of its own, and its administrator on our own API."""
    server = make_controller()
    return server, server.admin().on(OWN)


def sans(api) -> set[str]:
    names = served_certificate(api).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}


def issuer_of(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["iss"])


def test_the_setting_makes_the_first_address(own):
    server, api = own
    (row,) = wait_until(lambda: [r for r in api.get("/addresses").ok() if r["answers"]])
    assert row["address"] == f"127.0.0.1:{server.port}"
    assert (row["isIssuer"], row["isAnnounced"], row["followsPort"]) == (True, True, True)
    assert (row["resolves"], row["servesOurKey"], row["certificateCoversIt"]) == (True, True, True)
    assert row["problem"] == ""


def test_a_new_address_is_in_the_certificate_at_once(own):
    server, api = own
    before = served_certificate(api)
    key = api.create("/addresses", {"address": "lab.example.test"})
    after = served_certificate(api)
    assert "lab.example.test" in sans(api)
    assert "127.0.0.1" in sans(api)
    assert public_pem(before) == public_pem(after)
    row = api.detail("/addresses", key)
    assert row["address"] == f"lab.example.test:{server.port}"
    assert (row["isIssuer"], row["isAnnounced"], row["certificateCoversIt"]) == (False, True, True)
    urls = server.api().get("/version").ok()["apiVersions"]["edge-client"]["v1"]["apiBaseUrls"]
    assert [url.split("/")[2] for url in urls] == [f"127.0.0.1:{server.port}", f"lab.example.test:{server.port}"]


def test_pending_tokens_are_signed_again_for_a_new_issuer(own, tmp_path):
    """The same token, another issuer; a token that was handed out before still enrolls."""
    server, api = own
    admin = server.admin()
    identity, found = pending(admin, "ott")
    assert issuer_of(found["jwt"]) == f"https://127.0.0.1:{server.port}"
    api.create("/addresses", {"address": "localhost", "isIssuer": True})
    again = admin.detail("/identities", identity)["enrollment"]["ott"]
    assert issuer_of(again["jwt"]) == f"https://localhost:{server.port}"
    assert again["token"] == found["token"]
    pem = public_pem(served_certificate(api))
    for token in (found["jwt"], again["jwt"]):
        assert jwt.decode(token, pem, algorithms=["RS256"], audience="")["jti"] == found["token"]
    enroll_ott(server, found["token"], tmp_path)
    old = api.get("/addresses", filter=f'address = "127.0.0.1:{server.port}"').ok()
    assert [row["isIssuer"] for row in old] == [False]


def test_old_addresses_answer_until_they_are_removed(own, tmp_path):
    """Removing is what takes a name out of the certificate; the issuer cannot be removed."""
    server, api = own
    api.create("/addresses", {"address": "localhost", "isIssuer": True})
    extra = api.create("/addresses", {"address": "old.example.test"})
    (first,) = api.get("/addresses", filter=f'address = "127.0.0.1:{server.port}"').ok()
    api.patch(f"/addresses/{first['id']}", {"isAnnounced": False}).ok()
    assert server.api().get("/version").status == 200
    urls = server.api().get("/version").ok()["apiVersions"]["edge"]["v1"]["apiBaseUrls"]
    assert not any("127.0.0.1" in url for url in urls)
    assert "127.0.0.1" in sans(api)
    api.delete(f"/addresses/{extra}").ok()
    assert "old.example.test" not in sans(api)
    (issuer,) = api.get("/addresses", filter="isIssuer = true").ok()
    answer = api.delete(f"/addresses/{issuer['id']}")
    assert (answer.status, answer.code) == (400, "ENTITY_CAN_NOT_BE_DELETED")
    assert api.patch(f"/addresses/{issuer['id']}", {"isIssuer": False}).status == 400
    assert api.patch(f"/addresses/{issuer['id']}", {"isAnnounced": False}).status == 400


@pytest.mark.parametrize("text", ["", "https://x.test", "a b", "0.0.0.0", "::", "x:99999", "x:port"])
def test_what_is_no_address_is_refused(own, text):
    _, api = own
    answer = api.post("/addresses", {"address": text})
    assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE"), answer.body
    assert answer.error["cause"]["field"] == "address"
    assert len(api.get("/addresses").ok()) == 1


def test_who_enrolled_by_which(own, tmp_path):
    """The address of the client's own request counts; the list below the address is the filter."""
    server, api = own
    key = api.create("/addresses", {"address": "localhost"})
    admin = server.admin()
    old, _, _ = certified(server, admin, tmp_path)
    (first,) = api.get("/addresses", filter="isIssuer = true").ok()
    new, found = pending(admin, "ott")
    moved = Controller(tmp_path / "moved")
    moved.data, moved.url = server.data, f"https://localhost:{server.port}"
    enroll_ott(moved, found["token"], tmp_path)
    for address, identity in ((first["id"], old), (key, new)):
        assert [one["id"] for one in api.get(f"/addresses/{address}/identities").ok()] == [identity]
        row = api.detail("/addresses", address)
        assert (row["enrolledIdentities"], row["enrolledRouters"], row["enrolledCount"]) == (1, 0, 1)
    assert api.get(f"/addresses/{key}/identities", filter='name = "nobody"').ok() == []


def test_a_changed_setting_wins_and_the_old_address_keeps_answering(make_controller, tmp_path):
    """Whatever was changed last decides: rows while it runs, the setting when it says something new at a start."""
    server = make_controller()
    api = server.admin().on(OWN)
    api.create("/addresses", {"address": "localhost", "isIssuer": True})
    server.restart()
    api = server.admin().on(OWN)
    (issuer,) = api.get("/addresses", filter="isIssuer = true").ok()
    assert issuer["host"] == "localhost"
    server.advertise = ["localhost", "127.0.0.1", "moved.example.test"]
    server.restart()
    server.advertise = ["127.0.0.1"]
    server.restart()
    api = server.admin().on(OWN)
    shown = {row["host"]: (row["isIssuer"], row["isAnnounced"]) for row in api.get("/addresses").ok()}
    assert shown == {
        "127.0.0.1": (True, True),
        "localhost": (False, False),
        "moved.example.test": (False, False),
    }
    assert {"localhost", "moved.example.test"} <= sans(api)


def test_an_address_that_somebody_else_answers_withholds_tokens(make_controller):
    """The check says whose key is served; a token that no client could verify is not made."""
    server, other = make_controller(), make_controller()
    api = server.admin().on(OWN)
    key = api.create("/addresses", {"address": f"127.0.0.1:{other.port}", "isIssuer": True})
    seen = api.post(f"/addresses/{key}/check").ok()
    assert (seen["answers"], seen["servesOurKey"]) == (True, False)
    assert "another key" in seen["problem"]
    answer = server.admin().post("/identities", identity_body(enrollment={"ott": True}))
    assert (answer.status, answer.code) == (409, "ADVERTISED_KEY_MISMATCH")
    (first,) = api.get("/addresses", filter="isIssuer = false").ok()
    api.patch(f"/addresses/{first['id']}", {"isIssuer": True}).ok()
    assert api.post(f"/addresses/{first['id']}/check").ok()["servesOurKey"] is True
    pending(server.admin(), "ott")


def test_a_name_that_does_not_resolve_is_said_to(own):
    _, api = own
    key = api.create("/addresses", {"address": "nowhere.invalid"})
    seen = api.post(f"/addresses/{key}/check").ok()
    assert (seen["resolves"], seen["answers"], seen["servesOurKey"]) == (False, False, None)
    assert "nowhere.invalid" in seen["problem"]


def test_what_was_seen_first_makes_room():
    seen = Sightings(size=400)
    for number in range(5):
        seen.put(f"host-{number}:1280", Seen(at=number, resolves=("192.0.2.1",), problem="nobody answers"))
    found = seen.all()
    assert 1 < len(found) < 5
    assert list(found) == [f"host-{number}:1280" for number in range(5)][-len(found) :]
    assert found["host-4:1280"] == Seen(at=4, resolves=("192.0.2.1",), problem="nobody answers")
    seen.put("long:1280", Seen(at=5, problem="x" * 500))
    assert seen.all() == {}


def test_what_a_killed_process_left_half_written_is_forgotten():
    seen = Sightings()
    seen.put("a:1280", Seen(at=1))
    assert seen.get("a:1280") == Seen(at=1)
    seen._memory[20:24] = b"\0\xff{["
    assert seen.get("a:1280") == Seen(at=1), "who knows already knows on"
    seen.put("b:1280", Seen(at=2, answers=True, serves_our_key=True))
    assert seen.all() == {"b:1280": Seen(at=2, answers=True, serves_our_key=True)}
    seen.forget("b:1280")
    seen.forget("nobody:1280")
    assert seen.all() == {}


def test_clients_verify_every_address(own, tmp_path):
    """A client that checks names gets through by each, with the one trust bundle."""
    server, api = own
    api.create("/addresses", {"address": "localhost"})
    for host in ("127.0.0.1", "localhost"):
        with requests.Session() as http:
            http.trust_env = False
            answer = http.get(f"https://{host}:{server.port}/version", verify=str(server.ca_file()), timeout=10)
        assert answer.status_code == 200
    context = ssl.create_default_context(cafile=str(server.ca_file()))
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="elsewhere.example.test")


def test_only_administrators_change_addresses(own, tmp_path):
    server, _ = own
    _, _, client = certified(server, server.admin(), tmp_path)
    client.login_by_certificate()
    assert client.on(OWN).post("/addresses", {"address": "evil.example.test"}).status == 401
    assert sql(server, "SELECT count(*) FROM address") == [(1,)]
    assert login(client).status == 200


def test_by_which_address_somebody_enrolled_is_a_filter(controller, api, tmp_path):
    """Who still uses an old address is found in the lists of identities, by their filter."""
    key, _, _ = certified(controller, api, tmp_path)
    host = controller.url.removeprefix("https://")
    own = api.on("/zitilite/v1")
    assert own.get(f"/identities/{key}").data["enrolledAddress"] == host
    found = own.get("/identities", filter=f'enrolledAddress = "{host}" and id = "{key}"').data
    assert [row["id"] for row in found] == [key]
    assert own.get("/identities", filter=f'enrolledAddress != "{host}" and id = "{key}"').data == []
