"""What a rule gets to work with: the controller's services and the request at hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from werkzeug.datastructures import Headers, MultiDict

import pki
import tokens
from company import Company
from config import Address, Settings
from domain.care.attempts import Attempt, AttemptLog
from domain.care.doors import Doors
from domain.care.sightings import Sightings
from domain.logins import scopes
from domain.logins.hashing import Hashing
from domain.logins.jwks import KeyStore
from models import ApiSession, ApiToken, Identity
from wire.errors import ApiError
from wire.resource import now_ms

if TYPE_CHECKING:
    from domain.metrics import Metrics

VERSION = "0.1.0"
API_VERSION = "0.0.1"


@dataclass
class Controller:
    """The running controller: one per process, shared by its threads.

    `addresses` are those that clients are told, the issuer of tokens first; `port` is the one listened on.
    `news` is the thread that serves listeners (domain/care/events.py), `webhook` the one that sends the audit log.
    `swap_certificate` makes the TLS server use other material from the next handshake on; `wake` makes the watcher
    look at once. `seen` is what connecting to each address showed, and `doors` counts refused attempts, both in memory
    that processes forked later share; `company` are those processes.
    """

    settings: Settings
    authority: pki.Authority
    addresses: tuple[Address, ...]
    instance_id: str
    signer: tokens.Signer
    jwks: KeyStore
    started_at: int = field(default_factory=now_ms)
    hashing: Hashing = field(default_factory=Hashing)
    controller_id: str = "controller"
    network_id: str = ""
    port: int = 0
    seen: Sightings = field(default_factory=Sightings)
    swap_certificate: Callable[[pki.TlsMaterial], None] = lambda material: None
    wake: threading.Event = field(default_factory=threading.Event)
    company: Company = field(default_factory=Company)
    attempts: AttemptLog = field(default_factory=AttemptLog)
    news: Any = None
    webhook: Any = None
    # What `metrics` shows besides requests: name, help, labels, and what gives values of the labels with a number.
    gauges: list[tuple[str, str, tuple[str, ...], Callable[[], Any]]] = field(default_factory=list)
    doors: Doors = field(init=False)

    def __post_init__(self) -> None:
        self.doors = Doors(self.settings)
        self.attempts.company = self.company

    @cached_property
    def metrics(self) -> Metrics:
        """The measurements, made when somebody looks; requests are only counted where the setting `metrics` is on."""
        from domain.metrics import Metrics  # noqa: PLC0415 - it takes a megabyte, and few want it

        made = Metrics(self.controller_id, self.company.pids)
        for gauge in self.gauges:
            made.gauge(*gauge)
        return made

    @property
    def key_problem(self) -> str:
        """What is wrong when the first advertised address serves another key than ours: no client could check a token.

        "" while it serves ours, cannot be reached from here, or was not tried yet.
        """
        seen = self.seen.get(str(self.addresses[0])) if self.addresses else None
        return seen.problem if seen is not None and seen.serves_our_key is False else ""

    @property
    def url(self) -> str:
        """`https://host:port` of the first advertised address: the issuer of tokens."""
        return f"https://{self.addresses[0]}"


@dataclass(slots=True)
class Context:
    """One request. `view` says what is being shown: list, detail or association.

    `template` is the path with its variables' names; `is_audited` says that the audit log has what it did,
    `concerns_all` that what other processes keep in memory must follow it before it is answered.
    `attempt` is what the log of attempts will say about it, where it is one.
    `access` are the claims of the access token that the caller came with; None for `zt-session`.
    `is_local` marks a command on this machine that opened the data folder itself: no header can say so.
    `api_token` is the caller's API token; then there is no session, and the token's scope limits the owner's rights.
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
    api_token: ApiToken | None = None
    request_id: str = ""
    view: str = ""
    is_local: bool = False
    attempt: Attempt = field(default_factory=Attempt)
    template: str = ""
    is_audited: bool = False
    concerns_all: bool = False

    @property
    def is_management(self) -> bool:
        """Whether the request came to the management API."""
        return self.base.startswith("/edge/management")

    @property
    def is_admin(self) -> bool:
        """Whether the caller is a full administrator here and now: an API token needs the scope for it, too."""
        return self.owner_is_admin and self.scope == scopes.ADMIN

    @property
    def owner_is_admin(self) -> bool:
        """Whether the caller's identity is a full administrator (the default administrator always is)."""
        return self.identity is not None and (self.identity.is_admin or self.identity.is_default_admin)

    @property
    def scope(self) -> str:
        """How far the caller's rights reach: an API token's scope, all of them for a session."""
        return self.api_token.scope if self.api_token is not None else scopes.ADMIN

    @property
    def me(self) -> Identity:
        """The caller. Only for operations that need a session."""
        if self.identity is None:
            raise ApiError("UNAUTHORIZED")
        return self.identity

    @property
    def my_session(self) -> ApiSession:
        """The caller's session. Only for operations that need one; an API token has none."""
        if self.api_token is not None:
            raise ApiError("UNAUTHORIZED", "this needs a session (zt-session): an API token has none")
        if self.session is None:
            raise ApiError("UNAUTHORIZED")
        return self.session

    def allows(self, permission: str) -> bool:
        """Whether the caller may do `entity.verb`: an administrator all, others by their permissions.

        `service` covers all verbs of services, `service.read` one of them, `admin_readonly` every GET that reads.
        """
        if self.identity is None or not scopes.covers(self.scope, permission):
            return False
        if self.owner_is_admin:
            return True
        held = self.identity.permissions
        entity, _, verb = permission.partition(".")
        reads = verb == "read" and self.method == "GET"
        return permission in held or entity in held or (reads and "admin_readonly" in held)
