"""Sending the audit log elsewhere: each row, in order, until it was taken.

Up to a hundred rows go out in one POST. What was taken is remembered in the database, so that a restart goes
on where it was; a row may arrive twice (its id tells), none is left out. A receiver that fails is tried again,
each time later, and blocks nobody. Addresses are checked as those of JWKS endpoints are.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import store
from company import Company
from domain.care import audit
from domain.context import VERSION, Context
from domain.logins import jwks
from models import Meta
from wire.resource import JSON_TYPE, OWN, Action, now_ms, time_text

log = logging.getLogger("zitilite.webhook")

BATCH_ROWS = 100
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 300.0
SHARED_SECONDS = 2.0
# What a process rings when there is something to send: only one of them sends.
NEWS, HURRY = b"w", b"h"
IDLE_SECONDS = 60.0
SIGNATURE = "X-Zitilite-Signature"
_POSITION, _STATE = "audit_webhook_position", "audit_webhook_state"


@dataclass(slots=True)
class State:
    """How it goes. Times in milliseconds since the epoch."""

    delivered_at: int | None = None
    failures: int = 0
    problem: str = ""
    next_try_at: int | None = None


class Webhook:
    """Delivers to one URL, in a thread of its own. show: how rows are shown, as GET /audit does."""

    def __init__(self, url: str, secret: str, *, private_addresses: bool) -> None:
        self.url, self._secret, self._private_addresses = url, secret.encode(), private_addresses
        self.show: Callable[[list[Any]], list[dict[str, Any]]] = lambda rows: []
        self.state = State()
        self.company = Company()
        self._bell = threading.Event()
        self._hurry = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)

    def start(self) -> None:
        """Begin to deliver; a new receiver gets what happens from now on."""
        if not self.url:
            return
        if Meta.get_or_none(Meta.key == _POSITION) is None:
            self._remember(_POSITION, str(audit.newest()))
        self._thread.start()

    def stop(self) -> None:
        """End; a delivery under way is given up and made again after the next start."""
        self._stopping = True
        self._bell.set()

    def ring(self) -> None:
        """There may be something to send."""
        if self.url:
            self._bell.set()
            self.company.ring(NEWS)

    def hear(self) -> None:
        """There may be something to send, from another process."""
        self._bell.set()

    def hurry(self) -> None:
        """Try now what would be tried later."""
        self.hear_hurry()
        self.company.ring(HURRY)

    def hear_hurry(self) -> None:
        """The same, asked of another process."""
        self._hurry = True
        self._bell.set()

    def _run(self) -> None:
        while not self._stopping:
            self._bell.clear()
            try:
                pause = self._deliver()
            except Exception:  # whatever goes wrong in one turn, delivery must go on
                log.exception("the audit log could not be sent to the webhook")
                pause = FIRST_PAUSE_SECONDS
            self._wait(pause)
        store.database.close()

    def _wait(self, seconds: float) -> None:
        """Wait for news, or after a failure for its pause to be over, whatever the news."""
        if not self.state.failures:
            self._bell.wait(seconds)
            return
        end = time.monotonic() + seconds
        while not self._stopping and not self._hurry and (left := end - time.monotonic()) > 0:
            self._bell.wait(left)
            self._bell.clear()
        self._hurry = False

    def _deliver(self) -> float:
        """Send what is due; gives how long to wait then."""
        if not store.leads("webhook"):
            return SHARED_SECONDS
        while not self._stopping and (rows := audit.lines(position(), BATCH_ROWS)):
            try:
                self._send(rows)
            except jwks.FetchError as e:
                return self._failed(str(e))
            self._remember(_POSITION, str(rows[-1].id))
            self._be(State(delivered_at=now_ms()))
        # What other processes write rings no bell here.
        return SHARED_SECONDS if store.is_shared else IDLE_SECONDS

    def _failed(self, why: str) -> float:
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(self.state.failures, 20), LONGEST_PAUSE_SECONDS)
        failures = self.state.failures + 1
        next_try = now_ms() + int(pause * 1000)
        self._be(State(self.state.delivered_at, failures, why, next_try))
        log.log(logging.WARNING if failures == 1 else logging.INFO, "the audit webhook failed: %s", why)
        return pause

    def _send(self, rows: list[Any]) -> None:
        body = json.dumps({"rows": self.show(rows)}, separators=(",", ":"), ensure_ascii=False).encode()
        headers = {"Content-Type": JSON_TYPE, "User-Agent": f"zitilite/{VERSION}"}
        if self._secret:
            headers[SIGNATURE] = "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        jwks.post(self.url, body, headers, private_addresses=self._private_addresses)

    def _be(self, state: State) -> None:
        """Keep how it goes where the other processes see it, too."""
        self.state = state
        self._remember(_STATE, json.dumps(asdict(state)))

    def _remember(self, key: str, value: str) -> None:
        with store.write():
            Meta.replace(key=key, value=value).execute()


def standing() -> State:
    """How the last deliveries went, whichever process made them."""
    row = Meta.get_or_none(Meta.key == _STATE)
    return State(**json.loads(row.value)) if row else State()


def position() -> int:
    """The id of the last row that was taken."""
    row = Meta.get_or_none(Meta.key == _POSITION)
    return int(row.value) if row else 0


# --- operations


def show(ctx: Context) -> Any:
    """GET /audit/webhook: where it stands; not where it goes in full, since a URL may hold a secret."""
    hook: Webhook = ctx.ctrl.webhook
    state = standing()
    host = hook.url.split("/")[2] if hook.url else None
    return {
        "enabled": bool(hook.url),
        "host": host,
        "signed": bool(ctx.ctrl.settings.audit_webhook_secret),
        "lastDeliveredId": str(position()) if hook.url else None,
        "lastDeliveredAt": time_text(state.delivered_at),
        "waiting": audit.count_after(position()) if hook.url else 0,
        "failures": state.failures,
        "problem": state.problem or None,
        "nextTryAt": time_text(state.next_try_at),
    }


def retry(ctx: Context) -> Any:
    """POST /audit/webhook/retry: do not wait for the next try."""
    ctx.ctrl.webhook.hurry()
    return {}


ACTIONS = (
    Action("GET", "/audit/webhook", show, "ops.read", (OWN,), summary="How the delivery of the audit log goes"),
    Action("POST", "/audit/webhook/retry", retry, "ops.update", (OWN,), audited=False, summary="Try to deliver now"),
)
