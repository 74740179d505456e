"""Lists of what is in no table, with the filter language and the paging of all lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from domain.context import Context
from wire.errors import ApiError
from wire.filter_rows import select
from wire.filters import FilterError, Kind, parse
from wire.resource import Result

MOST = 500


def page(
    ctx: Context,
    rows: Sequence[dict[str, Any]],
    kinds: Mapping[str, Kind],
    show: Callable[[dict[str, Any]], Any] = dict,
) -> Result:
    """The rows that the query's filter lets through, cut to its page; `show` makes what is answered of a row.

    `limit` is 10 unless asked for, 500 at most, and none when it is negative, as everywhere. Raises INVALID_FILTER.
    """
    try:
        query = parse(ctx.query.get("filter", ""))
        fitting = select(rows, query, kinds)
    except FilterError as e:
        raise ApiError("INVALID_FILTER", str(e)) from None
    asked = int(ctx.query.get("limit") or 10) if query.limit is None else query.limit
    limit = min(asked, MOST) if asked >= 0 else 2**63 - 1
    offset = max(int(ctx.query.get("offset") or 0) if query.skip is None else query.skip, 0)
    pagination = {"limit": limit, "offset": offset, "totalCount": len(fitting)}
    found = [show(dict(row)) for row in fitting[offset : offset + limit]]
    return Result(found, meta={"filterableFields": sorted(kinds), "pagination": pagination})
