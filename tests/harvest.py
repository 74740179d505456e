"""Every secret that goes over the wire in a test, whichever client sends or gets it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from wire.errors import CODES

# Names under which a value is a secret, in JSON, forms, queries and headers. The verification token of a CA is none:
# it stands in a certificate that anybody may see.
NAMES = {
    "access_token",
    "authRequestID",
    "authorization",
    "clientSecret",
    "code",
    "code_verifier",
    "currentPassword",
    "enrollmentJwt",
    "enrollmentToken",
    "id_token",
    "jwt",
    "key",
    "passphrase",
    "password",
    "provisioningUrl",
    "recoveryCodes",
    "refresh_token",
    "secret",
    "token",
    "zt-session",
}
_JWT = re.compile(r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}")
_LINK = re.compile(r"#([\w-]{20,})")
_TOTP = re.compile(r"secret=([A-Z2-7]+)")
SHORTEST = 6


class Harvest:
    """What was seen: value -> where first."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def add(self, where: str, value: Any) -> None:
        """Keep a value that is a secret, each of several."""
        if isinstance(value, dict):
            for one in value.values():
                self.add(where, one)
        elif isinstance(value, list):
            for one in value:
                self.add(where, one)
        elif isinstance(value, str) and len(value) >= SHORTEST and value not in CODES and not value.startswith("./"):
            self.found.setdefault(value.removeprefix("Bearer "), where)

    def look(self, where: str, value: Any) -> None:
        """Search a JSON value for names that stand for secrets."""
        if isinstance(value, dict):
            for name, one in value.items():
                if name in NAMES:
                    self.add(f"{where} {name}", one)
                self.look(where, one)
        elif isinstance(value, list):
            for one in value:
                self.look(where, one)

    def read(self, where: str, content: str | bytes | None) -> None:
        """Search a body: JSON, a form, or text with tokens in it."""
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content or ""
        with contextlib.suppress(ValueError):
            self.look(where, json.loads(text))
        if len(text) < 1 << 16:
            self.look(where, dict(parse_qsl(text)))
        for pattern in (_JWT, _LINK, _TOTP):
            for found in pattern.findall(text):
                self.add(where, found)

    def take(self, answer: requests.Response) -> None:
        """Search an answer and the request that it is for."""
        asked = answer.request
        path = urlsplit(asked.url or "").path
        for parts in (urlsplit(asked.url or ""), urlsplit(answer.headers.get("Location", ""))):
            self.look(f"query of {path}", dict(parse_qsl(parts.query)))
        for headers in (asked.headers, answer.headers):
            self.look(f"headers of {path}", {name.lower(): value for name, value in headers.items()})
        self.read(f"request {path}", asked.body if isinstance(asked.body, str | bytes) else None)
        self.read(f"answer of {path}", answer.content)

    def in_text(self, text: str) -> list[str]:
        """Where those secrets were seen that stand in the text."""
        return [f"{where}: {value[:60]}" for value, where in self.found.items() if _stands_in(value, text)]


def _stands_in(value: str, text: str) -> bool:
    if value not in text:
        return False
    # A short one may be part of something else.
    return bool(re.search(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", text))


@contextlib.contextmanager
def harvesting() -> Iterator[Harvest]:
    """Look at all that `requests` sends and gets, for a while."""
    harvest, original = Harvest(), requests.Session.send

    def send(self: requests.Session, request: Any, **options: Any) -> requests.Response:
        answer = original(self, request, **options)
        if not options.get("stream"):
            harvest.take(answer)
        return answer

    requests.Session.send = send  # type: ignore[method-assign]
    try:
        yield harvest
    finally:
        requests.Session.send = original  # type: ignore[method-assign]
