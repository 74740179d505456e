"""Identifiers, in the three shapes that the API's clients have seen.

All come from the system's random source. None begins or ends with a character that a shell or a
URL would treat specially, which the real controller's short ids may.
"""

from __future__ import annotations

import secrets
import uuid
import zlib

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def _random(alphabet: str, length: int) -> str:
    number = secrets.randbelow(len(alphabet) ** length)
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(alphabet))
        digits.append(alphabet[digit])
    return "".join(digits)


def short_id() -> str:
    """Ten characters (59 bits): identities, routers, and what is made along with them."""
    return _random(_BASE62, 10)


def password() -> str:
    """Twenty letters and digits (119 bits): no sign that a shell or a flag would treat specially."""
    return _random(_BASE62, 20)


def long_id() -> str:
    """Twenty-two characters (131 bits): everything else."""
    return _random(_BASE62, 22)


def session_id() -> str:
    """Twenty-five lower-case characters beginning with `c`: API sessions."""
    return "c" + _random(_BASE36, 24)


def key_text() -> str:
    """Forty-three characters (256 bits): API tokens."""
    return _random(_BASE62, 43)


def checksum(text: str) -> str:
    """Six characters of CRC-32: tells a mistyped or cut token from an unknown one without a look-up."""
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits


def token() -> str:
    """A random UUID (122 bits): enrollment and session tokens."""
    return str(uuid.uuid4())
