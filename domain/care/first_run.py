"""The first run: a link with a one-time code, by which the administrator chooses name and password in a browser.

The code is printed at the first start and is nowhere else; its SHA-256 is a fact of the installation. The link
is open until it is used, an administrator has logged in, ten codes were wrong, or a day is over. Using it is a
conditional DELETE, so that of two who come at once one wins. Source: our own, /zitilite/v1/first-run.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from dataclasses import dataclass, replace

from werkzeug.datastructures import MultiDict

import store
from domain import ids, policies
from domain.care import audit
from domain.context import Context
from domain.logins import auth, credentials
from domain.setup import FIRST_RUN as KEY
from models import Authenticator, Identity, Meta
from wire.errors import ApiError, field_error
from wire.resource import OWN, Action, Body, Field, Result, now_ms

log = logging.getLogger("zitilite.setup")

HOURS = 24
TRIES = 10
PAGE = "/console/first-run"
_CLOSED = (
    "the first run is over: the code was used, an administrator has logged in, ten codes were wrong or a day has "
    "passed. `zitilite admin reset-password` on the controller's machine gives a new password"
)


@dataclass(frozen=True, slots=True)
class _Offer:
    """What is stored: the hash of the code, when it ends (ms since the epoch), how many codes were wrong."""

    hash: str
    until: int
    wrong: int = 0

    @property
    def text(self) -> str:
        return json.dumps([self.hash, self.until, self.wrong])


def offer() -> str:
    """Open the first run of a new installation; gives the code."""
    code = ids.long_id()
    with store.write():
        Meta.replace(key=KEY, value=_Offer(_hash(code), now_ms() + HOURS * 3_600_000).text).execute()
    return code


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()


def _offered() -> _Offer | None:
    """The offer that still stands. A login of the administrator ends it."""
    row = Meta.get_or_none(Meta.key == KEY)
    if row is None:
        return None
    found = _Offer(*json.loads(row.value))
    if found.until <= now_ms() or found.wrong >= TRIES:
        return None
    return None if _administrator().last_seen_at is not None else found


def _administrator() -> Identity:
    found: Identity = Identity.select().where(Identity.is_default_admin).get()
    return found


# --- the operations


def show(ctx: Context) -> dict[str, bool]:
    """GET /first-run: whether it is open."""
    return {"open": _offered() is not None}


def use(ctx: Context) -> Result:
    """POST /first-run: set the administrator's name and password; answers with a session, as a login does.

    Raises NOT_FOUND when it is over, INVALID_AUTH for a wrong code.
    """
    username, password = ctx.body["username"].strip(), ctx.body["password"]
    if not 4 <= len(username) <= 100:
        raise field_error("username", "a user name has 4 to 100 characters", username)
    standing = _checked(ctx)
    admin = _administrator()
    policies.check_password(admin.auth_policy, password)
    hashed = credentials.hash_password(ctx, password)
    with store.write():
        gone = Meta.delete().where(Meta.key == KEY, Meta.value == standing.text).execute()
        if gone != 1 or _administrator().last_seen_at is not None:
            raise ApiError("NOT_FOUND", _CLOSED)
        _take_over(ctx, admin.id, username, hashed)
    log.info("the administrator chose name and password by the first-run link, from %s", ctx.remote)
    login = replace(
        ctx,
        query=MultiDict({"method": "password"}),
        body={"username": username, "password": password},
    )
    return auth.authenticate(login)


def _checked(ctx: Context) -> _Offer:
    """The offer, if the code fits. A wrong code is counted and noted, whatever else comes of the request."""
    right = False
    with store.write():
        standing = _offered()
        if standing is not None:
            right = hmac.compare_digest(standing.hash, _hash(ctx.body["code"]))
        if standing is not None and not right:
            counted = replace(standing, wrong=standing.wrong + 1)
            Meta.update(value=counted.text).where(Meta.key == KEY, Meta.value == standing.text).execute()
            audit.record(ctx, "refuse first-run", "identities", None, after={"reason": "wrong code"})
    if standing is None:
        raise ApiError("NOT_FOUND", _CLOSED)
    if not right:
        left = TRIES - standing.wrong - 1
        text = f"the code is wrong; {left} more tries" if left else "the code is wrong, and it was the last try"
        raise ApiError("INVALID_AUTH", text, log="wrong first-run code")
    return standing


def _take_over(ctx: Context, key: str, username: str, hashed: str) -> None:
    taken = Identity.select().where(Identity.name == username, Identity.id != key).exists()
    other = Authenticator.select().where(Authenticator.updb_username == username, Authenticator.identity != key)
    if taken or other.exists():
        raise field_error("username", "this name is taken", username)
    now = now_ms()
    before = audit.columns(Identity.get_by_id(key))
    Identity.update(name=username, updated_at=now).where(Identity.id == key).execute()
    Authenticator.update(updb_username=username, updb_password=hashed, updated_at=now).where(
        Authenticator.identity == key, Authenticator.method == "updb"
    ).execute()
    row = Identity.get_by_id(key)
    ctx.identity = row
    audit.record(ctx, "first-run", "identities", key, before=before, after=audit.columns(row))
    ctx.attempt.of_identity(row)


BODY = Body(
    "firstRun",
    "FirstRun",
    (
        Field("code", required="c"),
        Field("username", required="c"),
        Field("password", credentials.PASSWORD, required="c"),
    ),
)
ACTIONS = (
    Action("GET", "/first-run", show, "public", (OWN,), summary="Whether the first-run link is open"),
    Action(
        "POST", "/first-run", use, "public", (OWN,), BODY, summary="Choose the administrator's name", attempt="login"
    ),
)
