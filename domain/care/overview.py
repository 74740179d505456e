"""One page of what is going on: who is in, who is waiting, what is about to break.

Source: our own, GET /zitilite/v1/overview; the console's first screen.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pki
from domain import cas
from domain.care import states
from domain.context import Context
from models import ApiSession, Ca, Enrollment, Identity, Router
from wire.resource import OWN, Action, milliseconds, now_ms, time_text

# How many of the next expiries are named, and how far the weeks look ahead.
NEXT = 20
WEEKS = 53
WEEK = 7 * states.DAY


def overview(ctx: Context) -> dict[str, Any]:
    """GET /overview: counts by state, tokens, authorities with what is wrong in words, the next expiries."""
    now = now_ms()
    people = Identity.type != "Router"
    authorities = list(_authorities(ctx, now))
    tokens = {
        "expired": Enrollment.select().where(Enrollment.expires_at <= now).count(),
        "pending": Enrollment.select().where(Enrollment.expires_at > now).count(),
    }
    return {
        "authorities": authorities,
        "attention": list(_attention(ctx, authorities, tokens)),
        "certificatesByWeek": _weeks(now),
        "enrollments": tokens,
        "expiringDays": ctx.ctrl.settings.expiring_days,
        "identities": {
            "neverConnected": Identity.select().where(people, Identity.last_seen_at.is_null()).count(),
            "states": states.counts(Identity, states.identity_state(ctx), people),
            "total": Identity.select().where(people).count(),
        },
        "nextExpiries": _next(now, authorities),
        "routers": {"states": states.counts(Router, states.router_state(ctx)), "total": Router.select().count()},
        "serverTime": time_text(now),
        "sessions": ApiSession.select().where(ApiSession.expires_at > now).count(),
    }


# --- certificates that others rest on


def _authorities(ctx: Context, now: int) -> Iterator[dict[str, Any]]:
    """Our own certificates from the server's up, then the imported CAs, each with its problem or null."""
    authority = ctx.ctrl.authority
    chain = authority.server_chain
    soon = now + int(ctx.ctrl.settings.expiring_days) * states.DAY
    for cert in {c.fingerprint: c for c in [*chain, *authority.bundle]}.values():
        kind = "server" if cert is chain[0] else "root" if cert.is_self_signed else "intermediate"
        yield _authority(kind, "", cert.common_name or cert.subject, cert, _dates(cert, now, soon, ""))
    for ca in Ca.select().order_by(Ca.name):
        cert = cas.issuing_cert(ca.cert_pem)
        yield _authority("ca", ca.id, ca.name, cert, _problem(ca, cert, now, soon))


def _authority(kind: str, key: str, name: str, cert: pki.Cert, problem: str | None) -> dict[str, Any]:
    ends = time_text(milliseconds(cert.not_after))
    return {"expiresAt": ends, "id": key or None, "kind": kind, "name": name, "problem": problem}


def _dates(cert: pki.Cert, now: int, soon: int, then: str) -> str | None:
    ends = milliseconds(cert.not_after)
    day = cert.not_after.date().isoformat()
    if ends <= now:
        return f"its certificate expired on {day}{then}"
    if milliseconds(cert.not_before) > now:
        return f"its certificate is not valid before {cert.not_before.date().isoformat()}"
    return f"its certificate expires on {day}" if ends <= soon else None


def _problem(ca: Ca, cert: pki.Cert, now: int, soon: int) -> str | None:
    """What keeps a CA from working, most important first; None when nothing does."""
    dated = _dates(cert, now, soon, ", so nobody can enroll or connect with it")
    is_over = ca.is_verified and milliseconds(cert.not_after) <= now
    return dated if is_over else switched(ca) or dated


def switched(ca: Ca) -> str | None:
    """How a CA is set that keeps it from working, most important first; None when it works."""
    if not ca.is_verified:
        return "it is not verified, so nobody can enroll or connect with it"
    enrolls = ca.is_auto_ca_enrollment_enabled or ca.is_ott_ca_enrollment_enabled
    if not ca.is_auth_enabled and not enrolls:
        return "everything is switched off: nobody can enroll or connect with it"
    if not ca.is_auth_enabled:
        return "it cannot connect anyone: its connections are off"
    return None if enrolls else "nobody new can enroll with it: automatic and one-time enrollment are off"


# --- what to look at


def _attention(ctx: Context, authorities: list[dict[str, Any]], tokens: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Sentences for a person, each with what it is about and a filter that lists it."""
    if ctx.ctrl.key_problem:
        yield {"code": "ADVERTISED_KEY_MISMATCH", "text": ctx.ctrl.key_problem}
    for a in authorities:
        if a["problem"]:
            who = f"CA '{a['name']}'" if a["kind"] == "ca" else f"the {a['kind']} certificate of this controller"
            yield {"code": "AUTHORITY", "id": a["id"], "kind": a["kind"], "text": f"{who}: {a['problem']}"}
    if tokens["expired"]:
        were = "token expired" if tokens["expired"] == 1 else "tokens expired"
        yield {
            "code": "TOKENS_EXPIRED",
            "filter": 'enrollmentState = "tokenExpired"',
            "text": f"{tokens['expired']} {were} unused",
        }


def _next(now: int, authorities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What ends next, overdue first: certificates and tokens of all kinds."""
    found = [{k: a[k] for k in ("expiresAt", "id", "kind", "name")} | {"what": "certificate"} for a in authorities]
    for kind, m in (("identity", Identity), ("router", Router)):
        for what, column in (("certificate", m.cert_expires_at), ("token", m.token_expires_at)):
            rows = m.select(m.id, m.name, column).where(column.is_null(is_null=False)).order_by(column).limit(NEXT)
            found += [
                {"expiresAt": time_text(ends), "id": key, "kind": kind, "name": name, "what": what}
                for key, name, ends in rows.tuples()
            ]
    found.sort(key=lambda one: one["expiresAt"])
    text = time_text(now)
    return [{**one, "overdue": one["expiresAt"] <= text} for one in found[:NEXT]]


def _weeks(now: int) -> list[dict[str, Any]]:
    """How many identity and router certificates end in each of the coming weeks, today's first."""
    start = milliseconds(datetime.fromtimestamp(now / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0))
    found = dict.fromkeys(range(WEEKS), 0)
    for m in (Identity, Router):
        for number, count in states.count_by_step(m, m.cert_expires_at, start, WEEK, WEEKS).items():
            found[number] += count
    return [{"count": count, "from": time_text(start + number * WEEK)} for number, count in found.items()]


ACTIONS = (Action("GET", "/overview", overview, "identity.read", (OWN,), summary="Who is in, who waits, what ends"),)
