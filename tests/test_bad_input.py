"""Bad input everywhere: it is refused as recorded, changes nothing, and never makes an error inside."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from api.entities import ENTITIES
from api.schemas import TAGS_FIELD, body_schema
from models import TABLES, Attempt, CertificateFact
from tests.controllers import CLIENT, Answer, Api, Controller
from tests.examples import NAMED, change, example
from tests.flows import JSON, PEM, enroll, identity_body, pending, sql, unique
from wire.resource import MANAGEMENT, Entity

MIB = 1024 * 1024
CREATED = [entity for entity in ENTITIES if "c" in entity.verbs and MANAGEMENT in entity.bases]
PATHS = [entity.path for entity in CREATED]
UNKNOWN_IDS = ["unknown", "%00", "..%2f", "' OR 1=1", "\u0000", "x" * 2000, "ü", "%", ";", "*"]


def counts(controller: Controller) -> dict[str, int]:
    """How many rows each table has, but for the log of refusals and the index that is brought up to date later."""
    tables = [model._meta.table_name for model in TABLES if model not in (Attempt, CertificateFact)]
    counted = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM \"{table}\"" for table in tables)
    return dict(sql(controller, counted))


@pytest.fixture
def unchanged(controller, api) -> Iterator[None]:
    """Hold that the test leaves every table as it found it."""
    before = counts(controller)
    yield
    assert counts(controller) == before


def refused(answer: Answer) -> None:
    """An error of the API's own shape, and none that says something broke inside."""
    assert 400 <= answer.status < 500 or answer.status in (601, 602, 606), answer
    assert answer.code is not None or answer.status == 413, answer


# --- JSON that is none


BAD_JSON = {
    "empty": (b"", 602, "COULD_NOT_VALIDATE"),
    "blank": (b" \n\t", 602, "COULD_NOT_VALIDATE"),
    "open brace": (b"{", 400, "COULD_NOT_PARSE_BODY"),
    "minus": (b"-", 400, "COULD_NOT_PARSE_BODY"),
    "trailing comma": (b'{"name":"x",}', 400, "COULD_NOT_PARSE_BODY"),
    "single quotes": (b"{'name':'x'}", 400, "COULD_NOT_PARSE_BODY"),
    "open text": (b'{"name":"x', 400, "COULD_NOT_PARSE_BODY"),
    "words": (b"name=x", 400, "COULD_NOT_PARSE_BODY"),
    "list": (b"[]", 400, "COULD_NOT_PARSE_BODY"),
    "text": (b'"x"', 400, "COULD_NOT_PARSE_BODY"),
    "number": (b"5", 400, "COULD_NOT_PARSE_BODY"),
    "NaN": (b'{"name":NaN}', 400, "COULD_NOT_PARSE_BODY"),
    "infinity": (b'{"name":-Infinity}', 400, "COULD_NOT_PARSE_BODY"),
    "control character": (b'{"name":"a\x01b"}', 400, "COULD_NOT_PARSE_BODY"),
    "bad escape": (b'{"name":"\\x"}', 400, "COULD_NOT_PARSE_BODY"),
    "NUL bytes": (b"\x00" * 100, 400, "COULD_NOT_PARSE_BODY"),
    "random bytes": (bytes(range(128, 256)), 400, "COULD_NOT_PARSE_BODY"),
    "UTF-16": ('{"name":"x"}'.encode("utf-16"), 400, "COULD_NOT_PARSE_BODY"),
    "deep list": (b'{"name":' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "COULD_NOT_PARSE_BODY"),
    "deep object": (b'{"tags":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, 400, "COULD_NOT_PARSE_BODY"),
    "deep and open": (b"[" * 100_000, 400, "COULD_NOT_PARSE_BODY"),
    "huge number": (b'{"name":"x","cost":1' + b"0" * 5000 + b"}", 400, None),
    "null": (b"null", 400, "COULD_NOT_VALIDATE"),
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("path", ["edge-routers", "identities", "services"])
@pytest.mark.parametrize("case", BAD_JSON)
def test_bad_json(api, path, case):
    """A body that is no JSON object is refused with its code, whatever it is instead."""
    content, status, code = BAD_JSON[case]
    answer = api.post(f"/{path}", content, headers={"Content-Type": JSON})
    refused(answer)
    assert answer.status == status
    assert code in (None, answer.code)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("case", BAD_JSON)
def test_bad_json_without_a_session(controller, case):
    """The same on paths that anybody may call, and on those that need a session."""
    content, _, _ = BAD_JSON[case]
    client = controller.api()
    headers = {"Content-Type": JSON}
    for path in ("/enroll/ott", "/enroll/updb?token=x", "/enroll?method=ott&token=x", "/authenticate?method=password"):
        refused(client.on(CLIENT).post(path, content, headers=headers))
    assert client.post("/identities", content, headers=headers).status == 401


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udfff x"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\u202e"', '"ÿ"'])
@pytest.mark.parametrize("path", ["/identities", "/edge-routers", "/services"])
def test_odd_characters(api, path, text):
    """Lone surrogates, NUL and marks in names neither break the answer nor the list afterwards."""
    body = {"/identities": '"type":"Default","isAdmin":false,', "/services": '"encryptionRequired":true,'}.get(path, "")
    prefix = unique("odd")
    content = f'{{{body}"name":"{prefix}{text[1:]},"tags":{{"a":{text},{text}:"b"}}}}'
    answer = api.post(path, content.encode(), headers={"Content-Type": JSON})
    assert answer.status in (201, 400), answer
    found = api.get(path, filter=f'name contains "{prefix}"').ok()
    assert len(found) == (answer.status == 201)
    for one in found:
        api.delete(f"{path}/{one['id']}").ok()


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data", "x", "", "text/json;;"])
def test_content_types(api, kind):
    """Only JSON is JSON."""
    body = json.dumps(identity_body(name=5))
    refused(api.post("/identities", body, headers={"Content-Type": kind}))


# --- values of the wrong type


WRONG_VALUES: list[Any] = [
    *(None, True, -1, 2**63, 1.5),
    *("", "x", "x" * 70_000, "\x00"),
    *([], [None], [[]], ["#"], {}, {"a": {"b": []}}),
]


@pytest.mark.parametrize("entity", NAMED, ids=lambda entity: entity.path)
def test_wrong_types(api, entity: Entity):
    """Each property with each kind of value: accepted or refused, and never an error inside."""
    taken = [field.name for field in (*entity.fields, TAGS_FIELD) if "c" in field.body]
    good = example(api, entity)
    for name in taken:
        for value in WRONG_VALUES:
            body = good | {"name": unique("bad"), name: value}
            answer = api.post(f"/{entity.path}", body)
            assert answer.status in (201, 400, 404, 602), f"{name}={value!r:.80}: {answer}"
            if answer.status == 201:
                path = f"/{entity.path}/{answer.data['id']}"
                assert api.get(path).status == 200
                changed = api.patch(path, change(entity, {name: value}))
                assert changed.status in (200, 400, 404, 409, 602), f"patch {name}={value!r:.80}: {changed}"
                api.delete(path).ok()


# --- every create body, by chance


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema allows, more or less."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    simple: dict[Any, st.SearchStrategy[Any]] = {
        "boolean": st.booleans(),
        "integer": st.integers(-(2**70), 2**70),
        "string": st.text(max_size=30) | st.sampled_from(["#a", "@b", "#all", "2099-01-01T00:00:00Z", "0000-00-00"]),
        "null": st.none(),
        None: anything,
    }
    found = []
    for one in kinds:
        if one == "array":
            found.append(st.lists(values(schema.get("items", {})), max_size=4))
        elif one == "object":
            found.append(objects(schema))
        else:
            found.append(simple[one])
    return st.one_of(found)


def objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    properties = schema.get("properties")
    if properties is None:
        inner = schema.get("additionalProperties")
        return st.dictionaries(st.text(max_size=8), values(inner) if isinstance(inner, dict) else anything, max_size=4)
    required = {name: values(properties[name]) for name in schema.get("required", [])}
    optional = {name: values(inner) for name, inner in properties.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional)


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def bodies(entity: Entity) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies that fit the schema, and ones with a property spoiled or dropped."""
    schema = body_schema((*entity.fields, TAGS_FIELD), "c")
    fitting = objects(schema)
    names = st.sampled_from(sorted(schema["properties"]))
    spoiled = st.builds(lambda body, name, value: {**body, name: value}, fitting, names, anything)
    dropped = st.builds(lambda body, name: {k: v for k, v in body.items() if k != name}, fitting, names)
    return fitting | spoiled | dropped


@pytest.mark.parametrize("entity", CREATED, ids=PATHS)
def test_any_body(api, entity: Entity):
    """Whatever is sent to create something: 2xx or 4xx, and what was made can be read, changed and deleted."""

    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(body=bodies(entity))
    def run(body: dict[str, Any]) -> None:
        try:
            content = json.dumps(body).encode()
        except UnicodeEncodeError:
            assume(False)
        answer = api.post(f"/{entity.path}", content, headers={"Content-Type": JSON})
        assert answer.status < 500 or answer.status in (601, 602, 606), answer
        if answer.status == 201:
            path = f"/{entity.path}/{quote(answer.data['id'], safe='')}"
            api.get(path).ok()
            for method in [method for verb, method in (("p", "PATCH"), ("u", "PUT")) if verb in entity.verbs]:
                changed = api.call(method, path, content, headers={"Content-Type": JSON})
                assert changed.status in (200, 400, 404, 409, 602), changed
            if "d" in entity.verbs:
                api.delete(path).ok()

    run()


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(text=st.text(max_size=60) | st.from_regex(r'(name|tags\.a|id|roleAttributes|not|anyOf)[ =<>!("\]]*.{0,20}'))
def test_any_filter(controller, text):
    """Whatever stands in a filter: an answer or INVALID_FILTER."""
    answer = shared_admin(controller).get("/identities", filter=text)
    assert (answer.status, answer.code) in ((200, None), (400, "INVALID_FILTER")), answer


_admins: dict[str, Api] = {}


def shared_admin(controller: Controller) -> Api:
    """One session for all examples of a run."""
    if controller.url not in _admins:
        _admins[controller.url] = controller.admin()
    return _admins[controller.url]


# --- enrollment and certificates


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=200), kind=st.sampled_from([PEM, "text/plain", "application/pkcs7", JSON]))
@pytest.mark.parametrize("method", ["ott", "ottca", "ca", "updb", "erott", "magic"])
def test_any_enrollment(controller, method, content, kind):
    """Whatever is sent to enroll, before any authentication: refused, never an error inside."""
    refused(enroll(shared_admin(controller), method, "00000000-0000-4000-8000-000000000000", content, kind))


GARBAGE = [
    "",
    "x",
    "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\n" + "MIIB" * 5000 + "\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\n" * 1000,
    "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n",
    "-----BEGIN X-----\n" * 20_000,
    "\x00" * 1000,
    "ÿ" * 1000,
]


@pytest.mark.parametrize("pem", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_pem(api, pem):
    """Garbage where a certificate or request should be is refused, and changes nothing."""
    identity, found = pending(api, "ott")
    refused(enroll(api, "ott", found["token"], pem.encode(), PEM))
    body = {"name": unique("ca"), "certPem": pem, "identityRoles": [], "isAuthEnabled": True}
    refused(api.post("/cas", {**body, "isAutoCaEnrollmentEnabled": True, "isOttCaEnrollmentEnabled": True}))
    refused(api.post("/authenticators", {"method": "cert", "identityId": identity, "certPem": pem}))
    key = api.create("/edge-routers", {"name": unique("router")})
    token = api.detail("/edge-routers", key)["enrollmentToken"]
    refused(enroll(api, "erott", token, {"certCsr": pem, "serverCertCsr": pem}))
    assert api.detail("/identities", identity)["enrollment"]["ott"]["token"] == found["token"]
    assert api.detail("/edge-routers", key)["isVerified"] is False


# --- ids


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("key", UNKNOWN_IDS, ids=range(len(UNKNOWN_IDS)))
def test_ids_that_do_not_exist(api, key):
    """An id that nothing has is 404 for every verb, however odd it is."""
    for entity in CREATED:
        for method, tail, body in (
            ("GET", "", None),
            ("PATCH", "", {"tags": {}}),
            ("DELETE", "", None),
            ("GET", "/nothing", None),
        ):
            answer = api.call(method, f"/{entity.path}/{key}{tail}", body)
            assert answer.status in (400, 404, 405, 414, 602), f"{method} {entity.path}: {answer}"


# --- bodies that are too large


def speak(controller: Controller, head: str, body: Iterator[bytes]) -> bytes:
    """Send a request by hand, and give what comes back until the server closes."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", controller.port), timeout=20) as plain,
        context.wrap_socket(plain) as tls,
    ):
        tls.sendall(head.encode())
        with contextlib.suppress(OSError):
            for piece in body:
                tls.sendall(piece)
        received = b""
        with contextlib.suppress(OSError):
            while data := tls.recv(65536):
                received += data
        return received


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("path", ["/edge/management/v1/identities", "/edge/client/v1/enroll?method=ott&token=x", "/x"])
@pytest.mark.parametrize("chunked", [False, True])
def test_body_over_the_limit(controller, path, chunked):
    """A body over 1 MiB is 413, plain and chunked, with and without a session, before anybody asks who it is."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    piece = b" " * 65536
    if chunked:
        head += "Transfer-Encoding: chunked\r\n\r\n"
        body = (b"10000\r\n" + piece + b"\r\n" for _ in range(40))
    else:
        head += f"Content-Length: {40 * 65536}\r\n\r\n"
        body = (piece for _ in range(40))
    answer = speak(controller, head, body)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"REQUEST_ENTITY_TOO_LARGE"' in answer


def test_body_at_the_limit(api):
    """A body of exactly 1 MiB is read."""
    body = json.dumps(identity_body(tags={"a": ""})).encode()
    body = body.replace(b'"a": ""', b'"a": "' + b"x" * (MIB - len(body)) + b'"')
    assert len(body) == MIB
    answer = api.post("/identities", body, headers={"Content-Type": JSON})
    api.delete(f"/identities/{answer.ok(201)['id']}").ok()


# --- parameters of lists


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "-1"},
        {"limit": str(2**63 - 1)},
        {"limit": str(-(2**63))},
        {"offset": "-5"},
        {"offset": str(2**63 - 1)},
        {"filter": "limit 99999999999999999999"},
        {"filter": "skip 99999999999999999999"},
        {"filter": "("},
        {"filter": "(" * 3000},
        {"filter": 'name = "' + "x" * 30_000 + '"'},
        {"filter": "true " + "or true " * 3000},
        {"filter": "not " * 2000 + "true"},
        {"filter": 'name = "\x00"'},
        {"roleFilter": "x"},
        {"roleFilter": "#"},
        {"roleSemantic": "x", "roleFilter": "#a"},
    ],
    ids=lambda p: str(p)[:40],
)
def test_list_parameters(api, params):
    """Odd parameters of a list give a list or a clear refusal."""
    answer = api.get("/identities", **params)
    assert answer.status in (200, 400, 431, 601, 606), answer
    if answer.status != 431:
        assert answer.status == 200 or answer.code in ("INVALID_FILTER", "COULD_NOT_VALIDATE")
