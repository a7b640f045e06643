"""A library in memory: what the recorder looks up besides a run. Held to the contract that the real one keeps, too."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from nodewise.core.db.queries.cached_results import CachedResult
from nodewise.core.ir.caching import CacheKey
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.ids import TaskRef
from nodewise.core.model.task import DatasetFacts
from nodewise.recorder.course import RegisteredDataset
from tests.support.rows import NOW


@dataclass
class FakeLibrary:
    """Remembers what it is given."""

    known: dict[str, RegisteredDataset] = field(default_factory=dict)
    results: dict[str, CachedResult] = field(default_factory=dict)
    keys: dict[str, list[CacheKey]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def datasets(self, names: Collection[str]) -> Mapping[str, RegisteredDataset]:
        return {name: self.known[name] for name in names if name in self.known}

    def result(self, digest: str) -> CachedResult | None:
        self.asked.append(digest)
        return self.results.get(digest)

    def latest_keys(self, component: str, team: str | None = None) -> Sequence[CacheKey]:
        return self.keys.get(component, [])

    def register(self, name: str, uri: str, facts: DatasetFacts) -> None:
        self.known[name] = RegisteredDataset(uri=uri, facts=facts)

    def keep(
        self, component: str, key: CacheKey, outputs: TaskOutputs, *, ref: TaskRef, at: datetime = NOW
    ) -> None:
        """A task succeeded whose result may be reused."""
        self.results[key.digest] = CachedResult(ref=ref, outputs=outputs, stored_at=at)
        others = [known for known in self.keys.get(component, []) if known.digest != key.digest]
        self.keys[component] = [key, *others]
