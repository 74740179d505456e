"""Where an identity or a router stands on its way into the network, and when that ends.

`enrollmentState` is the first of these that holds:

1. `disabled`: it cannot log in, whatever it has. An identity whose disablement ran out is not.
2. `pending`: its certificate has ended and a token that is still good waits for it: it can come back.
3. `expired`: its certificate has ended.
4. `expiring`: its certificate ends within the setting `expiring_days`.
5. `enrolled`: it has a certificate or a password (a router: it has enrolled).
6. `pending`: a token that is still good waits for it.
7. `enrolled`: it has no keys of its own, but an external id by which a CA or an external signer vouches for it.
8. `tokenExpired`: its tokens ended unused.
9. `none`: nothing to log in with and nothing to get it by. So is the identity of a router with tunneler, which
   comes in by the router's certificate: the router's state counts.

All of it is worked out from a few columns. `token_expires_at` and `cert_expires_at` are kept by triggers beside
the row (models.py), so that counting or filtering 100,000 identities by state is one pass over one index.
`lastSeenAt` is the last login of an identity, the last enrollment or renewal of a router: there is no control
channel yet that would tell more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import peewee as pw

from domain.context import Context
from domain.logins.credentials import is_disabled
from models import Identity, Router
from wire.filter_sql import Symbol
from wire.resource import now_ms, time_text

STATES = ("none", "pending", "tokenExpired", "enrolled", "expiring", "expired", "disabled")
NAMES = ("enrollmentState", "tokenExpiresAt", "certificateExpiresAt", "lastSeenAt")
DAY = 86_400_000


def _soon(ctx: Context, now: int) -> int:
    return now + int(ctx.ctrl.settings.expiring_days) * DAY


# --- as SQL


def identity_state(ctx: Context) -> Any:
    """The state of identities as an expression, for the time and the settings of this request."""
    now = now_ms()
    m = Identity
    disabled = m.disabled_at.is_null(is_null=False) & (m.disabled_until.is_null() | (m.disabled_until > now))
    return _case(m, now, _soon(ctx, now), disabled, m.is_enrolled, m.external_id.is_null(is_null=False))


def router_state(ctx: Context) -> Any:
    """The same for routers."""
    now = now_ms()
    enrolled = Router.is_verified | Router.fingerprint.is_null(is_null=False)
    return _case(Router, now, _soon(ctx, now), Router.disabled, enrolled, pw.SQL("FALSE"))


def _case(m: Any, now: int, soon: int, disabled: Any, enrolled: Any, vouched: Any) -> Any:
    token, cert = m.token_expires_at, m.cert_expires_at
    steps = (
        (disabled, "disabled"),
        ((cert <= now) & (token > now), "pending"),
        (cert <= now, "expired"),
        (cert <= soon, "expiring"),
        (enrolled, "enrolled"),
        (token > now, "pending"),
        (vouched, "enrolled"),
        (token.is_null(is_null=False), "tokenExpired"),
    )
    return pw.Case(None, [(condition, pw.Value(state, converter=False)) for condition, state in steps], "none")


def of_identities(ctx: Context) -> Mapping[str, Symbol]:
    """What the four names stand for in filters of identities."""
    return _symbols(Identity, identity_state(ctx))


def of_routers(ctx: Context) -> Mapping[str, Symbol]:
    """The same for routers."""
    return _symbols(Router, router_state(ctx))


def _symbols(m: Any, state: Any) -> dict[str, Symbol]:
    values = (("string", state), *(("datetime", c) for c in (m.token_expires_at, m.cert_expires_at, m.last_seen_at)))
    return {name: Symbol(kind, column) for name, (kind, column) in zip(NAMES, values, strict=True)}  # type: ignore[arg-type]


def counts(m: Any, state: Any, where: Any = None) -> dict[str, int]:
    """How many there are in each state; all states are named."""
    query = m.select(state.alias("state"), pw.fn.COUNT(pw.SQL("*"))).group_by(pw.SQL("1"))
    found = dict((query.where(where) if where is not None else query).tuples())
    return {name: found.get(name, 0) for name in STATES}


def count_by_step(m: Any, column: Any, start: int, step: int, steps: int) -> dict[int, int]:
    """How many values of a time column lie in each of so many equal steps from `start`."""
    number = ((column - start) / step).cast("INTEGER")
    query = m.select(number, pw.fn.COUNT(pw.SQL("*"))).where(column >= start, column < start + step * steps)
    return dict(query.group_by(pw.SQL("1")).tuples())


# --- of a row at hand


def state_of(ctx: Context, row: Identity | Router) -> str:
    """The state of one identity or router, by the same steps as the expression."""
    now = now_ms()
    token, cert = row.token_expires_at or 0, row.cert_expires_at
    if row.disabled if isinstance(row, Router) else is_disabled(row):
        return "disabled"
    if cert is not None and cert <= now:
        return "pending" if token > now else "expired"
    if cert is not None and cert <= _soon(ctx, now):
        return "expiring"
    if isinstance(row, Router):
        enrolled, vouched = row.is_verified or row.fingerprint is not None, False
    else:
        enrolled, vouched = row.is_enrolled, row.external_id is not None
    if not enrolled and token > now:
        return "pending"
    if enrolled or vouched:
        return "enrolled"
    return "tokenExpired" if token else "none"


def derived(ctx: Context, row: Identity | Router) -> dict[str, Any]:
    """The four properties of one identity or router."""
    values = (
        state_of(ctx, row),
        time_text(row.token_expires_at),
        time_text(row.cert_expires_at),
        time_text(row.last_seen_at),
    )
    return dict(zip(NAMES, values, strict=True))
