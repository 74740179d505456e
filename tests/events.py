"""Listening to the server's events, as a script with an HTTP client would."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import requests

from tests.controllers import Api

OWN = "/zitilite/v1"
SECONDS = 15


@dataclass(frozen=True)
class Event:
    id: str
    topic: str
    data: Any


class Listener:
    """Reads a stream in a thread; `ended` is set when the server closes it."""

    def __init__(self, answer: requests.Response) -> None:
        self.answer = answer
        self._socket: Any = answer.raw._fp.fp.raw._sock
        self.ended = threading.Event()
        self._events: queue.Queue[Event] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        found: dict[str, str] = {}
        # A stream that was cut off by closing it here ends with one of these.
        with suppress(requests.RequestException, AttributeError, ValueError, OSError):
            for raw in self.answer.iter_lines(chunk_size=65536):
                line = str(raw, "utf-8")
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    found[name] = value
                elif not line and "event" in found:
                    self._events.put(Event(found["id"], found["event"], json.loads(found["data"])))
                    found = {}
        self.ended.set()

    def close(self) -> None:
        """Hang up, as a client does that goes away: the reading thread ends first."""
        with suppress(OSError, AttributeError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(SECONDS)
        self.answer.close()

    def next(self, wanted: Callable[[Event], bool] = lambda event: True) -> Event:
        """Give the next event that is wanted; those before it are dropped."""
        while True:
            event = self._events.get(timeout=SECONDS)
            if wanted(event):
                return event


@contextmanager
def listening(api: Api, path: str = "/events", last: str = "", **params: str) -> Iterator[Listener]:
    """Open a stream of our own API with the session of `api`."""
    headers = {"Last-Event-ID": last} if last else {}
    client = api.on(OWN)
    answer = client.http.get(client.url + OWN + path, params=params, headers=headers, stream=True, timeout=(10, 60))
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    listener = Listener(answer)
    try:
        yield listener
    finally:
        listener.close()
