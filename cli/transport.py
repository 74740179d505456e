"""How a command reaches the API: over HTTPS with a token, or inside this process through the data folder.

Both ways speak the same API, so a command is written once. The local way asks nobody for a login: whoever
can read the folder's keys could make any login.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from werkzeug.test import Client

MANAGEMENT, CLIENT, OWN = "/edge/management/v1", "/edge/client/v1", "/zitilite/v1"
TIMEOUT_SECONDS = 60.0


class CommandError(Exception):
    """A command that failed; the text is for a person, `exit_code` for a script (see `cli.main`)."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        self.exit_code = exit_code
        super().__init__(text)


USAGE, NOT_FOUND, NOT_ALLOWED, UNREACHABLE = 2, 3, 4, 5
_SEE_CAUSE = "see cause"
# An API token, and a JWT of OIDC; anything else is the token of a session.
_BEARER = ("zl_", "ey")
_CODES = {401: NOT_ALLOWED, 403: NOT_ALLOWED, 404: NOT_FOUND}


@dataclass(frozen=True)
class Answer:
    """What came back. `data` is the envelope's; of an answer that is no JSON only `content` is of use."""

    status: int
    content: bytes
    headers: Mapping[str, str]

    @property
    def document(self) -> Any:
        """The parsed body, None where it is no JSON."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None

    @property
    def data(self) -> Any:
        """The value of `data`."""
        document = self.document
        return document.get("data") if isinstance(document, dict) else None

    @property
    def total(self) -> int:
        """How many rows of a list there are, with those that are on other pages."""
        return int(self.document["meta"]["pagination"]["totalCount"])

    @property
    def error(self) -> dict[str, Any]:
        """The API's error, empty where it is none."""
        document = self.document
        return (document.get("error") if isinstance(document, dict) else None) or {}

    @property
    def code(self) -> str:
        """The code of the API's error, "" where it is none."""
        return str(self.error.get("code", ""))

    @property
    def field(self) -> str:
        """The property of the request that the API's error is about, "" where it is about none."""
        return str((self.error.get("cause") or {}).get("field") or "")

    def checked(self) -> Answer:
        """Itself. Raises CommandError with the API's reason when it is a refusal."""
        if self.status < 400:
            return self
        raise CommandError(self.reason(), _CODES.get(self.status, 1))

    def reason(self) -> str:
        """The API's error in one line: what, why, which request."""
        error = self.error
        if not error:
            return f"the controller answered {self.status}: {self.content[:200].decode(errors='replace')}"
        cause = error.get("cause") or {}
        why = cause.get("message") or cause.get("reason") or ""
        told = f"{self.field}: {why}" if self.field else why
        # That message says nothing but that there is a cause.
        parts = [error["message"]] if not why or not error["message"].endswith(_SEE_CAUSE) else []
        return f"{': '.join([*parts, *([told] if why else [])])} ({error['code']}, request {error['requestId']})"


class Transport(ABC):
    """Something that carries requests to a controller."""

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> Answer:
        """Send one request; `path` begins with a base path. `body`: bytes as they are, anything else as JSON."""
        target = quote(path, safe="/:@-._~") + (f"?{urlencode(query, doseq=True)}" if query else "")
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.send(method, target, content, headers)

    @abstractmethod
    def send(self, method: str, target: str, content: bytes, headers: dict[str, str]) -> Answer:
        """Carry a request: its target (path and query, escaped), body and headers."""


class Local(Transport):
    """The API inside this process: the controller's own WSGI application on its data folder."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._client = Client(app)

    def send(self, method: str, target: str, content: bytes, headers: dict[str, str]) -> Answer:
        """Call the application."""
        answer = self._client.open(
            path=target,
            method=method,
            data=content,
            headers=headers,
            # No header can set this: those arrive as HTTP_….
            environ_overrides={"zitilite.local": True, "REMOTE_ADDR": ""},
        )
        with answer:
            return Answer(answer.status_code, answer.get_data(), dict(answer.headers))


class Remote(Transport):
    """The API of a controller somewhere else.

    Args:
        url: `https://host[:port]`.
        token: an API token or the token of a session; "" sends none.
        ca: a file with the CA certificates to trust; None takes the system's.
        certificate: files of a client certificate (with its chain) and its key.
    """

    def __init__(
        self, url: str, token: str = "", ca: Path | None = None, certificate: tuple[Path, Path] | None = None
    ) -> None:
        parts = urlsplit(url if "//" in url else f"https://{url}")
        if parts.scheme != "https" or not parts.hostname:
            raise CommandError(f"'{url}' is no https://HOST[:PORT]", USAGE)
        self.host, self.port = parts.hostname, parts.port or 443
        self._token = token
        try:
            self._tls = ssl.create_default_context(cafile=str(ca) if ca else None)
            if certificate:
                self._tls.load_cert_chain(*map(str, certificate))
        except (OSError, ssl.SSLError) as e:
            raise CommandError(f"the certificate files cannot be used: {e}", USAGE) from None

    def send(self, method: str, target: str, content: bytes, headers: dict[str, str]) -> Answer:
        """Send it over a connection of its own."""
        if self._token.startswith(_BEARER):
            headers["Authorization"] = f"Bearer {self._token}"
        elif self._token:
            headers["zt-session"] = self._token
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT_SECONDS, context=self._tls)
        try:
            connection.request(method, target, content, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), dict(answer.getheaders()))
        except ssl.SSLCertVerificationError as e:
            raise CommandError(
                f"{self.host}:{self.port} is not trusted ({e.verify_message}): name its CA certificates with --trust; "
                f"`zitilite trust {self.host}:{self.port}` fetches them and shows their fingerprints",
                UNREACHABLE,
            ) from None
        except (OSError, http.client.HTTPException, socket.gaierror) as e:
            raise CommandError(f"{self.host}:{self.port} cannot be reached: {e}", UNREACHABLE) from None
        finally:
            connection.close()
