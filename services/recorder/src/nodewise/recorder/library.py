"""What is on record besides a run: data sets, and results that may be reused."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from nodewise.core.db.queries.cached_results import CachedResult, find_result, latest_keys
from nodewise.core.db.queries.datasets import datasets_named
from nodewise.core.ir.caching import CacheKey
from nodewise.recorder.course import RegisteredDataset


class RecordLibrary:
    """The `Library` of one transaction. What was looked up once is kept: it does not change within it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._datasets: dict[str, RegisteredDataset | None] = {}
        self._keys: dict[tuple[str, str | None], Sequence[CacheKey]] = {}

    def datasets(self, names: Collection[str]) -> Mapping[str, RegisteredDataset]:
        unknown = set(names) - self._datasets.keys()
        if unknown:
            found = datasets_named(self._connection, unknown)
            for name in unknown:
                row = found.get(name)
                self._datasets[name] = RegisteredDataset(uri=row.uri, facts=row.facts) if row else None
        return {name: known for name in names if (known := self._datasets[name]) is not None}

    def result(self, digest: str) -> CachedResult | None:
        return find_result(self._connection, digest)

    def latest_keys(self, component: str, team: str | None = None) -> Sequence[CacheKey]:
        if (component, team) not in self._keys:
            self._keys[component, team] = latest_keys(self._connection, component, team)
        return self._keys[component, team]
