"""Creating once, however often it is asked: the header `Idempotency-Key`.

A script that lost the answer to a create asks again with the same key and gets that answer, not a second
identity. The answer is kept for a day, in the transaction of the create. Source: the IETF draft
"The Idempotency-Key HTTP Header Field", section 2; its 422 is our 409, since upstream has no 422.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import store
from domain.context import Context
from models import IdempotentAnswer
from prepared import Prepared, insert
from wire.errors import ApiError, field_error
from wire.resource import Result, now_ms

HEADER = "Idempotency-Key"
REPLAYED = {"Idempotency-Replayed": "true"}
KEEP_MS = 24 * 3_600_000
_KEY = re.compile(r"[\x20-\x7e]{1,255}\Z")
_KEPT = Prepared(
    lambda key, now: IdempotentAnswer.select().where(
        IdempotentAnswer.key_hash == key, IdempotentAnswer.expires_at > now
    ),
    IdempotentAnswer,
)


def once(ctx: Context, run: Callable[[], Any]) -> Any:
    """Run a create, or give the answer that it had before.

    Raises COULD_NOT_VALIDATE for a key that is none, IDEMPOTENCY_KEY_REUSED for one that stands for another request.
    """
    key = ctx.headers.get(HEADER, "")
    if not _KEY.match(key):
        raise field_error(HEADER, "the key must be 1 to 255 printable ASCII characters", key[:255])
    # The same key of another caller or for another collection is another key.
    name = _hash(f"{ctx.me.id}\n{ctx.method}\n{ctx.path}\n{key}".encode())
    body = _hash(ctx.raw)
    with store.write():
        kept: IdempotentAnswer | None = _KEPT.first(name, now_ms())
        if kept is not None:
            return _again(kept, body)
        result = run()
        if isinstance(result, Result) and result.status == 201:
            IdempotentAnswer.delete().where(IdempotentAnswer.key_hash == name).execute()
            data = None if result.is_secret else result.data
            expires = now_ms() + KEEP_MS
            insert(IdempotentAnswer(key_hash=name, expires_at=expires, body_hash=body, status=result.status, data=data))
    return result


def _again(kept: IdempotentAnswer, body: str) -> Result:
    if kept.body_hash != body:
        cause = "this key stood for a request with another body within the last 24 hours: take a new key"
        raise ApiError("IDEMPOTENCY_KEY_REUSED", cause)
    data: Any = kept.data
    if data is None:
        cause = "this was created already, and its answer held a secret that is shown only once"
        raise ApiError("IDEMPOTENCY_KEY_REUSED", cause)
    return Result(data, status=kept.status, headers=dict(REPLAYED))


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def prune() -> None:
    """Forget the answers whose day is over."""
    with store.write():
        IdempotentAnswer.delete().where(IdempotentAnswer.expires_at <= now_ms()).execute()
