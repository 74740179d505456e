"""Ranges of versions, as posture checks of operating systems name them: `>=10.0.0 <11 || 12.x`.

The language is that of github.com/blang/semver `ParseRange`, which the real controller uses: blanks
mean and, `||` means or, the operators are `= == ! != < <= > >=`, `x` or `*` stands for any number.
Versions may have fewer or more than three numbers; what follows `-` or `+` is left out.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from itertools import zip_longest

Version = tuple[int, ...]
Test = tuple[Callable[[Version, Version], bool], Version]

_OPERATORS: dict[str, Callable[[Version, Version], bool]] = {
    "": operator.eq,
    "=": operator.eq,
    "==": operator.eq,
    "!": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TERM = re.compile(r"(==|=|!=|!|<=|<|>=|>)?\s*v?(\d{1,9}(?:\.(?:\d{1,9}|[xX*]))*)(?:[-+][\w.+-]*)?")
_NUMBERS = re.compile(r"\s*v?(\d{1,9}(?:\.\d{1,9})*)")


class VersionError(ValueError):
    """A text that is no range."""


def parse_range(text: str) -> list[list[Test]]:
    """The alternatives of a range, each a list of tests that must all hold. Raises VersionError."""
    found = []
    for alternative in text.split("||"):
        rest, tests = alternative.strip(), []
        while rest:
            term = _TERM.match(rest)
            if term is None:
                raise VersionError(f'Could not get version from string: "{text}"')
            tests += _tests(term[1] or "", term[2])
            rest = rest[term.end() :].lstrip()
        if not tests:
            raise VersionError(f'Could not get version from string: "{text}"')
        found.append(tests)
    return found


def _tests(sign: str, numbers: str) -> list[Test]:
    parts = numbers.split(".")
    fixed = [int(p) for p in parts if p.isdigit()]
    if len(fixed) == len(parts):
        return [(_OPERATORS[sign], tuple(fixed))]
    # 1.2.x: from 1.2 up to but not including 1.3
    low, high = tuple(fixed), (*fixed[:-1], fixed[-1] + 1)
    match sign:
        case "" | "=" | "==":
            return [(operator.ge, low), (operator.lt, high)]
        case ">":
            return [(operator.ge, high)]
        case "<=":
            return [(operator.lt, high)]
        case "<" | ">=":
            return [(_OPERATORS[sign], low)]
        case _:
            raise VersionError(f'"{sign}{numbers}": a version with x cannot be excluded')


def matches(version: str, text: str) -> bool:
    """Whether a version is in a range; one that is no version is in none."""
    found = _NUMBERS.match(version)
    if found is None:
        return False
    numbers = tuple(int(p) for p in found[1].split("."))
    return any(all(test(*_padded(numbers, wanted)) for test, wanted in tests) for tests in parse_range(text))


def _padded(a: Version, b: Version) -> tuple[Version, Version]:
    pairs = list(zip_longest(a, b, fillvalue=0))
    return tuple(x for x, _ in pairs), tuple(y for _, y in pairs)
