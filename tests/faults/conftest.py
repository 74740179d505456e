"""Fixtures of the fault tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.quick import QuickController


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Callable[..., QuickController]]:
    """Give a factory of servers that restart quickly; all are ended afterwards."""
    made: list[QuickController] = []

    def make(*flags: str) -> QuickController:
        made.append(QuickController(tmp_path / f"controller{len(made)}", *flags))
        return made[-1]

    yield make
    for server in made:
        server.stop()
