"""Who knocks too often: limits on refused attempts to enroll, to renew and to log in.

Only what is refused counts, so that five hundred boxes enroll from one address at full speed. There are buckets for
the source address (of IPv6 its /64), for the enrollment token, and for the login name, as a whole and from each
address: the narrow one stops whoever guesses, the wide one a crowd of them, and the account's owner, who comes from
elsewhere, logs in meanwhile. A password is not even hashed while one of them is empty. Whoever brings a valid
token or certificate passes from an address that is held back, too; there only the refusals become 429.
Source: RFC 6585 section 4, RFC 9110 section 10.2.3.
"""

from __future__ import annotations

import ipaddress
import logging
import math
from dataclasses import dataclass

from config import Settings
from domain.care.attempts import Attempt
from domain.care.buckets import Buckets
from wire.errors import ApiError

log = logging.getLogger("zitilite.doors")

KINDS = ("enroll", "extend", "login")
# How many times as much an account takes from all addresses together.
WIDE = 10
# While somebody is held back, the logs hear of it this often.
NEWS_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """One that an attempt draws from: its name in the table, drops a minute, what it stands for.

    is_own says that it stands for one caller's repetition, which need not be logged each time.
    """

    name: str
    rate: int
    what: str
    is_own: bool = True


class Doors:
    """The limits of a controller; one object for all its threads and processes."""

    def __init__(self, settings: Settings) -> None:
        self.buckets = Buckets()
        self._address = int(settings.limit_address)
        self._token = int(settings.limit_token)
        self._account = int(settings.limit_account)

    def before_guess(self, attempt: Attempt, account: str) -> None:
        """Ask before a password is looked at. Raises RATE_LIMITED, or else counts the attempt if it is refused."""
        drawn = self._at_account(attempt, account)
        for bucket in (*self._at_address(attempt), *drawn):
            if wait := self.buckets.wait(bucket.name, bucket.rate):
                if not self._is_news(bucket):
                    attempt.kind = ""
                raise _limited(bucket, wait)
        attempt.buckets.extend(drawn)

    def after_success(self, attempt: Attempt, account: str) -> None:
        """The password was right: whoever knows it was not guessing."""
        for bucket in self._at_account(attempt, account)[:1]:
            self.buckets.fill(bucket.name)

    def settle(self, attempt: Attempt) -> ApiError | None:
        """Count an attempt that was refused; gives RATE_LIMITED where that is to be the answer."""
        if attempt.kind not in KINDS or attempt.refusal is None or attempt.refusal[0] == "RATE_LIMITED":
            return None
        drawn: list[Bucket] = [*self._at_address(attempt), *self._at_token(attempt), *attempt.buckets]
        empty = [(wait, b) for b in drawn if (wait := self.buckets.take(b.name, b.rate))]
        if not empty:
            return None
        news = [(b, self._is_news(b)) for _, b in empty]
        if any(b.is_own for b, _ in news) and not any(is_news for _, is_news in news):
            attempt.kind = ""
        wait, bucket = max(empty, key=lambda found: found[0])
        return _limited(bucket, wait)

    def _is_news(self, bucket: Bucket) -> bool:
        """Whether the logs should hear (again) that this bucket is empty."""
        if not self.buckets.is_news(bucket.name, NEWS_SECONDS):
            return False
        log.warning("more than %d refused attempts a minute %s: they are answered with 429", bucket.rate, bucket.what)
        return True

    def _at_address(self, attempt: Attempt) -> list[Bucket]:
        if not self._address or not attempt.source_address:
            return []
        net = network_of(attempt.source_address)
        return [Bucket(f"address {net}", self._address, f"from {net}", is_own=False)]

    def _at_token(self, attempt: Attempt) -> list[Bucket]:
        if not self._token or not attempt.token_hash:
            return []
        return [Bucket(f"token {attempt.token_hash}", self._token, "with this token")]

    def _at_account(self, attempt: Attempt, account: str) -> list[Bucket]:
        if not self._account:
            return []
        net = network_of(attempt.source_address)
        return [
            Bucket(f"account {net} {account}", self._account, "with this user name"),
            Bucket(f"account {account}", WIDE * self._account, "with this user name"),
        ]


def network_of(address: str) -> str:
    """What stands for a source address: itself, or the /64 of an IPv6 one, which is one customer's."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))


def _limited(bucket: Bucket, wait: float) -> ApiError:
    seconds = max(1, math.ceil(wait))
    cause = f"more than {bucket.rate} refused attempts a minute {bucket.what}: try again in {seconds} s"
    return ApiError("RATE_LIMITED", cause, headers={"Retry-After": str(seconds)})
