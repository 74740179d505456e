"""What a rule gets to work with: the controller's services and the request at hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import Headers, MultiDict

import pki
import tokens
from config import Address, Settings
from domain.care.attempts import Attempt, AttemptLog
from domain.logins.jwks import KeyStore
from domain.metrics import Metrics
from models import ApiSession, Identity
from wire.errors import ApiError
from wire.resource import now_ms

VERSION = "0.1.0"
API_VERSION = "0.0.1"


@dataclass
class Controller:
    """The running controller: one per process, shared by its threads.

    `news` is the thread that serves listeners (domain/care/events.py), `webhook` the one that sends the audit log.
    `key_problem` says that the first advertised address serves another key than ours; "" while it
    serves ours, cannot be reached from here, or was not tried yet.
    """

    settings: Settings
    authority: pki.Authority
    addresses: tuple[Address, ...]
    instance_id: str
    signer: tokens.Signer
    jwks: KeyStore
    started_at: int = field(default_factory=now_ms)
    hashing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "hash"))
    controller_id: str = "controller"
    network_id: str = ""
    key_problem: str = ""
    attempts: AttemptLog = field(default_factory=AttemptLog)
    news: Any = None
    webhook: Any = None
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.controller_id)

    @property
    def url(self) -> str:
        """`https://host:port` of the first advertised address: the issuer of tokens."""
        return f"https://{self.addresses[0]}"


@dataclass(slots=True)
class Context:
    """One request. `view` says what is being shown: list, detail or association.

    `template` is the path with its variables' names; `is_audited` says that the audit log has what it did.
    `attempt` is what the log of attempts will say about it, where it is one.
    `access` are the claims of the access token that the caller came with; None for `zt-session`.
    """

    ctrl: Controller
    base: str
    method: str
    path: str
    query: MultiDict[str, str]
    headers: Headers
    remote: str
    peer: tuple[pki.Cert, ...]
    raw: bytes = b""
    content_type: str = ""
    body: Any = None
    session: ApiSession | None = None
    identity: Identity | None = None
    access: dict[str, Any] | None = None
    request_id: str = ""
    view: str = ""
    attempt: Attempt = field(default_factory=Attempt)
    template: str = ""
    is_audited: bool = False

    @property
    def is_management(self) -> bool:
        """Whether the request came to the management API."""
        return self.base.startswith("/edge/management")

    @property
    def is_admin(self) -> bool:
        """Whether the caller is a full administrator (the default administrator always is)."""
        return self.identity is not None and (self.identity.is_admin or self.identity.is_default_admin)

    @property
    def me(self) -> Identity:
        """The caller. Only for operations that need a session."""
        if self.identity is None:
            raise ApiError("UNAUTHORIZED")
        return self.identity

    @property
    def my_session(self) -> ApiSession:
        """The caller's session. Only for operations that need one."""
        if self.session is None:
            raise ApiError("UNAUTHORIZED")
        return self.session

    def allows(self, permission: str) -> bool:
        """Whether the caller may do `entity.verb`: an administrator all, others by their permissions.

        `service` covers all verbs of services, `service.read` one of them, `admin_readonly` every GET that reads.
        """
        if self.is_admin:
            return True
        if self.identity is None:
            return False
        held = self.identity.permissions
        entity, _, verb = permission.partition(".")
        reads = verb == "read" and self.method == "GET"
        return permission in held or entity in held or (reads and "admin_readonly" in held)
