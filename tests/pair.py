"""Two controllers on one PostgreSQL database, behind one address, with the same keys."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.controllers import Api, Controller
from tests.forwarder import Forwarder, free_port


class Pair:
    """Two controllers and the address in front of them; `one` and `two` are reached past it as well."""

    def __init__(self, folder: Path, url: str, *, shared: bool) -> None:
        self.ports = [free_port(), free_port()]
        self.front = Forwarder(self.ports)
        self.one, self.two = (Controller(folder / name, database=url) for name in ("one", "two"))
        self.two.admin_password = self.one.admin_password
        for controller in self.both:
            controller.advertise = [f"127.0.0.1:{self.front.port}"]
        if shared:
            self.two.data = self.one.data
        self.is_shared = shared

    @property
    def both(self) -> tuple[Controller, Controller]:
        return self.one, self.two

    def start(self, number: int) -> None:
        controller = self.both[number]
        controller.url = f"https://127.0.0.1:{self.ports[number]}"
        controller.start()
        assert controller.url == f"https://127.0.0.1:{self.front.port}"

    def start_both(self) -> Pair:
        self.start(0)
        if not self.is_shared:
            # As docs/guide/postgresql.md has it: the second process gets the first one's keys.
            self.two.data.mkdir(mode=0o700)
            shutil.copytree(self.one.data / "pki", self.two.data / "pki")
        self.start(1)
        return self

    def directly(self, number: int, api: Api) -> Api:
        """The same client, past the common address."""
        other = api.on(api.base)
        other.url = f"https://127.0.0.1:{self.ports[number]}"
        return other

    def stop(self) -> None:
        for controller in self.both:
            controller.stop()
        self.front.close()
