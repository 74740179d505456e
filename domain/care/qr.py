"""QR codes of enrollment tokens and secrets: black on white with a quiet zone, as image or inside a page."""

from __future__ import annotations

import io
from typing import Any

# ISO/IEC 18004 asks for four modules of white on each side.
QUIET = 4
# Any of the eight masks makes a valid code; rating them all takes four fifths of the time.
_FIXED_MASK = 3


def _code(text: str, mask: int | None = None) -> Any:
    import segno  # noqa: PLC0415 - half a megabyte, which a controller without codes does without

    return segno.make(text, micro=False, mask=mask)


def image(text: str, kind: str, scale: int) -> bytes:
    """One code as a file. kind: png or svg; scale: pixels a module."""
    out = io.BytesIO()
    _code(text).save(out, kind=kind, scale=scale, border=QUIET, dark="#000", light="#fff")
    return out.getvalue()


def inline(text: str) -> str:
    """One code as an SVG element that fills its box: for pages with many."""
    code = _code(text, _FIXED_MASK)
    inside: str = code.svg_inline(border=QUIET, dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None)
    return inside
