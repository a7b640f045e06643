"""Lists that come page by page."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nodewise.sdk.models import Json

_PAGE = 200


def every_item(
    ask: Callable[..., Json], path: str, params: Mapping[str, Any], *, limit: int | None
) -> Iterator[Json]:
    """The items of a list, asked for as you iterate; at most `limit`. `ask` is called with method, path and params."""
    left, cursor = limit, None
    while left is None or left > 0:
        size = _PAGE if left is None else min(left, _PAGE)
        page = ask("GET", path, params={**params, "limit": size, "cursor": cursor})
        yield from page["items"]
        left = None if left is None else left - len(page["items"])
        cursor = page.get("next_cursor")
        if not cursor:
            return
