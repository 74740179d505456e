"""QR codes of enrollment tokens: black on white with a quiet zone, as image or inside a page."""

from __future__ import annotations

import io

import segno

# ISO/IEC 18004 asks for four modules of white on each side.
QUIET = 4
# Any of the eight masks makes a valid code; rating them all takes four fifths of the time.
_FIXED_MASK = 3


def image(text: str, kind: str, scale: int) -> bytes:
    """One code as a file. kind: png or svg; scale: pixels a module."""
    out = io.BytesIO()
    segno.make(text, micro=False).save(out, kind=kind, scale=scale, border=QUIET, dark="#000", light="#fff")
    return out.getvalue()


def inline(text: str) -> str:
    """One code as an SVG element that fills its box: for pages with many."""
    code = segno.make(text, micro=False, mask=_FIXED_MASK)
    return code.svg_inline(border=QUIET, dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None)
