"""An audit comes page by page; here its pages become one."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from nodewise.sdk.models import Json

_COUNTS: Final = ("runs", "tasks", "attempts", "events", "bookings", "nodes", "findings_total")


def whole_audit(ask: Callable[..., Json], *, since: datetime | None) -> Json:
    """All pages as one answer. `ask` is called with method, path and params.

    Where `since` is None the first page says which the API took, and the others follow it.
    """
    params: dict[str, Any] = {"since": since.isoformat() if since else None}
    whole = ask("GET", "/v1/audit", params=params)
    cursor = whole.pop("next_cursor", None)
    while cursor:
        page = ask("GET", "/v1/audit", params={"since": whole["since"], "cursor": cursor})
        for name in _COUNTS:
            whole[name] += page[name]
        whole["findings"] += page["findings"]
        cursor = page["next_cursor"]
    return whole
