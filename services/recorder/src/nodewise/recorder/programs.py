"""The pipelines of open runs, read once per content."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Connection

from nodewise.core.db.queries.specs import compiled_specs
from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir import Program, read_program

_KEPT: Final = 256


class Programs:
    """Pipelines by the digest of their content, which never changes; those used last are kept. Thread-safe."""

    def __init__(self, *, max_instances: int) -> None:
        self._max_instances = max_instances
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Program | InvalidPipeline] = OrderedDict()

    def load(self, connection: Connection, digests: Iterable[str]) -> Mapping[str, Program | InvalidPipeline]:
        """These pipelines, or why this release cannot read one that was accepted. One round trip, if any."""
        wanted = set(digests)
        with self._lock:
            found = {digest: self._known[digest] for digest in wanted & self._known.keys()}
        unknown = wanted - found.keys()
        specs = compiled_specs(connection, unknown) if unknown else {}
        for digest, (ir, platforms) in specs.items():
            try:
                found[digest] = read_program(ir, platforms, max_instances=self._max_instances)
            except InvalidPipeline as error:
                found[digest] = error
        with self._lock:
            for digest, program in sorted(found.items(), key=lambda item: item[0]):
                self._known[digest] = program
                self._known.move_to_end(digest)
            while len(self._known) > max(_KEPT, len(wanted)):
                self._known.popitem(last=False)
        return found
