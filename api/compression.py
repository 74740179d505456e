"""Gzip for answers of the API, where it changes nothing for clients of the original.

The original controller compresses no answer, though its clients ask for gzip (recorded). So only answers below
`/zitilite/` are compressed, and others for who says in a header of ours that the line is worth it: the console does.
"""

from __future__ import annotations

import gzip

from flask import Response
from werkzeug.wrappers import Request

from api.console import takes_gzip

HEADER = "Zitilite-Compress"
ROOT = "/zitilite/"
LEAST = 1000  # bytes; below, the headers weigh more than what is saved
TYPES = ("application/json", "text/", "application/jsonl")


def compress(request: Request, response: Response) -> None:
    """Gzip an answer if the client takes that and it pays. One with an ETag stays: the tag is of its bytes.

    Sizes are in bytes; nothing is raised.
    """
    if not (request.path.startswith(ROOT) or request.headers.get(HEADER)) or response.is_streamed:
        return
    if not (response.content_type or "").startswith(TYPES) or "Content-Encoding" in response.headers:
        return
    response.vary.add("Accept-Encoding")
    if response.status_code != 200 or "ETag" in response.headers or not takes_gzip(request):
        return
    body = response.get_data()
    if len(body) > LEAST:
        response.set_data(gzip.compress(body, 5, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
