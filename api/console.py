"""The console: plain files from `static/`, named by the hash of their content, gzipped, under a strict policy.

There is no build step: at the first request all files are read, compressed and hashed together, once. The page
`index.html` is written then, with the hash in every address, so that browsers keep the files for a year and
still see a new version at once. A changed file is noticed by its time, for those who work on the console.
Descriptions in front of functions stay behind: they are a quarter of what would go over the wire.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from flask import Flask, Response, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Request

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "font-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
ENTRY = "js/main.js"
# What comes after the sign-in form: fetched while somebody types.
LATER = ("js/console.js", "js/views/overview.js")
INDEX = "index.html"
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
_HASH = re.compile(r"[0-9a-f]{16}")
# `import … from "./x.js"` and `import "./x.js"`, not `import("./x.js")`: what is needed before anything is shown.
_IMPORT = re.compile(rb"""^(?:import|export)\b[^"'();]*["'](\.[^"']+)["']""", re.MULTILINE)
# A description on lines of its own; no template literal of the console has one.
_DESCRIPTION = re.compile(rb"^[ \t]*/\*\*(?:[^*]|\*(?!/))*\*/[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it goes out: its bytes, the same gzipped (None where that gains nothing), type, ETag."""

    body: bytes
    zipped: bytes | None
    kind: str
    etag: str


class Bundle:
    """All files of the console. Thread safe; reads them at the first use, and again when one has changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hash = ""
        self._assets: dict[str, Asset] = {}
        self._stamp: tuple[tuple[str, int], ...] = ()
        self._lock = threading.Lock()

    def index(self) -> Asset:
        """The page itself, up to date."""
        self._refresh()
        return self._assets[INDEX]

    def asset(self, name: str, wanted: str) -> tuple[Asset | None, bool]:
        """A file by its path below `static/`, and whether it is the one that the hash in its address means."""
        # A process that was asked for nothing yet has no hash either.
        if wanted != self.hash or not self.hash:
            self._refresh()
        return self._assets.get(name), wanted == self.hash

    def _refresh(self) -> None:
        with self._lock:
            files = sorted(p for p in self.folder.rglob("*") if p.is_file())
            stamp = tuple((str(p), p.stat().st_mtime_ns) for p in files)
            if stamp != self._stamp:
                self._read({p.relative_to(self.folder).as_posix(): p.read_bytes() for p in files})
                self._stamp = stamp

    def _read(self, texts: dict[str, bytes]) -> None:
        whole = hashlib.sha256()
        for name, body in texts.items():
            whole.update(f"{name}\0{len(body)}\0".encode() + body)
        digest = whole.hexdigest()[:16]
        texts = {name: _lean(body) if name.endswith(".js") else body for name, body in texts.items()}
        texts[INDEX] = _index(texts, digest)
        self._assets = {name: _asset(name, body) for name, body in texts.items()}
        self.hash = digest


def _lean(code: bytes) -> bytes:
    """JavaScript without its descriptions. Lines keep their numbers, for whoever reports an error."""
    return _DESCRIPTION.sub(lambda found: b"\n" * found[0].count(b"\n"), code)


def _index(texts: dict[str, bytes], digest: str) -> bytes:
    """The page with the hash in its addresses, and all modules named, so that none waits for another to be read.

    Those of the first view are links; those of the next one are in a `<meta>`, from which `sheets.js` takes them.
    """
    seen: set[str] = set()
    links = "".join(
        f'<link rel="modulepreload" href="/static/{digest}/{name}">\n    ' for name in _needed(texts, ENTRY, seen)
    )
    later = " ".join(name for entry in LATER for name in _needed(texts, entry, seen))
    page = texts[INDEX].decode().replace("/static/", f"/static/{digest}/")
    return page.replace("<!-- modules -->", f'{links}<meta name="later" content="{later}">').encode()


def _needed(texts: dict[str, bytes], name: str, seen: set[str]) -> Iterator[str]:
    """The module and all that it imports at once, each one time."""
    if name in seen or name not in texts:
        return
    seen.add(name)
    yield name
    for found in _IMPORT.findall(texts[name]):
        yield from _needed(texts, _joined(PurePosixPath(name).parent, found.decode()), seen)


def _joined(folder: PurePosixPath, relative: str) -> str:
    parts: list[str] = list(folder.parts)
    for part in relative.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _asset(name: str, body: bytes) -> Asset:
    zipped = gzip.compress(body, 9, mtime=0)
    suffix = PurePosixPath(name).suffix
    kind = TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    return Asset(body, zipped if len(zipped) < len(body) else None, kind, etag)


def takes_gzip(req: Request) -> bool:
    """Whether the client wants gzip (RFC 9110 section 12.5.3)."""
    return req.accept_encodings.quality("gzip") > 0


def _answer(asset: Asset, caching: str) -> Response:
    body, headers = asset.body, {**HEADERS, "Cache-Control": caching, "ETag": asset.etag, "Vary": "Accept-Encoding"}
    if asset.etag in {tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")}:
        return Response(b"", 304, headers)
    if asset.zipped is not None and takes_gzip(request):
        body = asset.zipped
        headers["Content-Encoding"] = "gzip"
    return Response(body, 200, headers, content_type=asset.kind)


def install(app: Flask, folder: Path) -> None:
    """Serve the page at `/console` and everything below it, and the files at `/static/<hash>/…`."""
    bundle = Bundle(folder)

    def index(place: str = "") -> Response:
        return _answer(bundle.index(), ASK_AGAIN)

    def file(name: str) -> Response:
        wanted, _, rest = name.partition("/")
        if not _HASH.fullmatch(wanted):
            wanted, rest = "", name
        asset, is_current = bundle.asset(rest, wanted)
        if asset is None or rest == INDEX:
            raise NotFound
        return _answer(asset, FOREVER if is_current else ASK_AGAIN)

    app.add_url_rule("/console", endpoint="console", view_func=index, methods=["GET"])
    app.add_url_rule("/console/<path:place>", endpoint="console places", view_func=index, methods=["GET"])
    app.add_url_rule("/static/<path:name>", endpoint="static", view_func=file, methods=["GET"])
