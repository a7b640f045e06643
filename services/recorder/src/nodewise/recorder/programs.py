"""The pipelines of open runs, read once per content."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection

from nodewise.core.db.queries.specs import compiled_specs
from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir import Program, read_program

_KEPT: Final = 256


class Programs:
    """Pipelines by the digest of their content, which never changes; those used last are kept."""

    def __init__(self, *, max_instances: int) -> None:
        self._max_instances = max_instances
        self._known: OrderedDict[str, Program | InvalidPipeline] = OrderedDict()

    def load(self, connection: Connection, digests: Iterable[str]) -> None:
        """Read those that are not known yet. One round trip, if any."""
        wanted = set(digests)
        unknown = wanted - self._known.keys()
        specs = compiled_specs(connection, unknown) if unknown else {}
        for digest, (ir, platforms) in specs.items():
            try:
                self._known[digest] = read_program(ir, platforms, max_instances=self._max_instances)
            except InvalidPipeline as error:
                self._known[digest] = error
        for digest in sorted(wanted & self._known.keys()):
            self._known.move_to_end(digest)
        while len(self._known) > max(_KEPT, len(wanted)):
            self._known.popitem(last=False)

    def of(self, digest: str) -> Program:
        """The pipeline; `load` it before.

        Raises:
            InvalidPipeline: It was accepted, but this release cannot read it.
        """
        known = self._known[digest]
        if isinstance(known, InvalidPipeline):
            raise known
        return known
