"""Recorded history as a problem document, from whichever installed portion keeps the record (entry point
`nodewise.histories`): the simulator itself sees no database.
"""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Final

from nodewise.core.errors import NodewiseError

GROUP: Final = "nodewise.histories"


class NoHistory(NodewiseError):
    """Nothing that keeps a record is installed here."""


def recorded_problem(database: str | None, *, since: str | None, until: str | None) -> dict[str, Any]:
    """What was submitted in a period, as a problem document with what became of it under `recorded`.

    Raises:
        NoHistory: Nothing keeps a record here.
        NodewiseError: There is no such period or database, or nothing in it.
    """
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    if not found:
        raise NoHistory("nothing that keeps a record is installed here: pip install nodewise-recorder")
    read: Callable[..., dict[str, Any]] = found[0].load()
    return read(database, since=since, until=until)
