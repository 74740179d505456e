"""A page of QR codes to print: the token of each device beside its name, to be cut out and put on the box.

It is one HTML file without scripts and without anything to load, because every browser prints it, or saves it as
PDF, in any paper size, and because codes as lines (SVG) stay sharp in any printer. A PDF made here would need
another library, fonts for all scripts, and a paper size to guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from domain.care import qr
from domain.care.token_files import Entry
from domain.context import Context
from domain.enrollment import jwt_of
from wire.resource import now_ms, time_text

# No script, no image, no font from anywhere: only this page's own style.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_STYLE = """
@page { margin: 10mm }
* { box-sizing: border-box }
body { margin: 0; color: #000; background: #fff; font: 10pt/1.3 system-ui, sans-serif }
header { padding: 0 2mm 3mm }
h1 { font-size: 12pt; margin: 0 }
p { margin: 0 }
main { display: grid; grid-template-columns: repeat(COLUMNS, 1fr); gap: 2mm }
section { border: 0.2mm dashed #999; padding: 3mm; break-inside: avoid; text-align: center; overflow: hidden }
svg { display: block; width: 100%; height: auto }
h2 { font-size: 11pt; margin: 1mm 0 0; overflow-wrap: anywhere }
"""


def page(ctx: Context, entries: Sequence[Entry], columns: int) -> Iterator[bytes]:
    """The page, piece by piece: a head, a box for each token, and what has none."""
    ready = [entry for entry in entries if entry.enrollment is not None]
    made = time_text(now_ms())
    yield (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{len(ready)} enrollment tokens</title><style>{_STYLE.replace('COLUMNS', str(columns))}</style></head>"
        f"<body><header><h1>{len(ready)} enrollment tokens of {escape(ctx.ctrl.url)}</h1>"
        f"<p>Made {made}. Each code works once: keep this page as you would keep a key.</p></header><main>\n"
    ).encode()
    for entry in ready:
        yield _box(ctx, entry).encode()
    yield b"</main>"
    left = [entry for entry in entries if entry.enrollment is None]
    if left:
        lines = "".join(f"<li>{escape(entry.name)}: {escape(entry.problem)}</li>" for entry in left)
        yield f"<footer><h1>Without a token: {len(left)}</h1><ul>{lines}</ul></footer>".encode()
    yield b"</body></html>\n"


def _box(ctx: Context, entry: Entry) -> str:
    e = entry.enrollment
    assert e is not None
    ends = str(time_text(e.expires_at))
    return (
        f"<section>{qr.inline(jwt_of(ctx, e))}<h2>{escape(entry.name)}</h2>"
        f"<p>{escape(e.method)}, until {ends[:10]} {ends[11:16]} UTC</p></section>\n"
    )
