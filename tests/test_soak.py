"""The short form of `python -m bench.soak 600`: all kinds of load at once, and nothing grows."""

from __future__ import annotations

from bench import soak


def test_half_a_minute_of_everything():
    found = soak.run(25)
    assert found["good"], found
    assert found["done"]["enroll"] > 20
    assert found["done"].keys() == {"enroll", "read", "log_in", "listen", "disturb"}
