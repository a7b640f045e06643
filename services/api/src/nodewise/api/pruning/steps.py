"""One step of retention, of bounded work: what it removes, and what comes next.

Rows go in batches, each one transaction. Content goes by groups of old digests: a group is looked for among all that rows
name, and what is not found goes (mark and sweep, docs/decisions/0016). Each step decides by what is there, so it does not
matter where an earlier attempt was left off.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from sqlalchemy import Connection, Engine

from nodewise.api.pruning.progress import Progress, Step
from nodewise.api.pruning.schemas import Removed
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries import pruning
from nodewise.core.lifecycle import RunState
from nodewise.core.store import Freed, Sweeper
from nodewise.core.store.addresses import AddressKind

Stepped = tuple[Removed, Progress | None]
_RUNS: Final = 100
_ROWS: Final = 1000
_DIGESTS: Final = 100_000
"""Of old content, so much is held in memory at a time, at some 200 bytes each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """How much one step does at most."""

    runs: int = _RUNS
    rows: int = _ROWS
    digests: int = _DIGESTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruner:
    """Takes the steps. `dry_run`: it says what would go, and removes nothing."""

    engine: Engine
    sweeper: Sweeper
    keep_failed: bool = False
    dry_run: bool = False
    most: Batches = field(default_factory=Batches)

    def take(self, at: Progress) -> Stepped:
        """Take one step. None: there is nothing left to do."""
        return _STEPS[at.step](self, at)

    def over(self, at: Progress) -> pruning.Over:
        """Which runs go."""
        states = (RunState.SUCCEEDED, RunState.CANCELED, *(() if self.keep_failed else (RunState.FAILED,)))
        return pruning.Over(before=at.before, states=[state.value for state in states])

    def runs(self, at: Progress) -> Stepped:
        with transaction(self.engine) as connection:
            if self.dry_run:
                return Removed(**asdict(pruning.count_runs(connection, self.over(at)))), at.at(None)
            removed = pruning.remove_runs(connection, self.over(at), limit=self.most.runs)
        return Removed(**asdict(removed)), at if removed.runs else at.at(None)

    def results(self, at: Progress) -> Stepped:
        gone = self._rows(
            lambda connection: pruning.remove_results(connection, limit=self.most.rows),
            lambda connection: pruning.count_results(connection, self.over(at)),
        )
        return Removed(results=gone), self._after_rows(at, gone)

    def pipelines(self, at: Progress) -> Stepped:
        gone = self._rows(
            lambda connection: pruning.remove_specs(connection, self.over(at), limit=self.most.rows),
            lambda connection: pruning.count_specs(connection, self.over(at)),
        )
        return Removed(pipelines=gone), self._after_rows(at, gone)

    def _rows(self, remove: Callable[[Connection], int], count: Callable[[Connection], int]) -> int:
        with transaction(self.engine) as connection:
            return (count if self.dry_run else remove)(connection)

    def _after_rows(self, at: Progress, gone: int) -> Progress | None:
        return at.at(None) if self.dry_run or gone < self.most.rows else at

    def logs(self, at: Progress) -> Stepped:
        freed, looked = Freed(), 0
        for ids in _pieces(self.sweeper.runs_with_keys(), self.most.rows):
            with transaction(self.engine) as connection:
                stay = pruning.runs_that_stay(connection, ids, self.over(at) if self.dry_run else None)
            gone = [run_id for run_id in ids if run_id not in stay]
            freed += self.sweeper.take_keys(gone)
            looked += len(gone)
            if looked >= self.most.rows and not self.dry_run:
                return _logs(freed), at
        return _logs(freed), at.at(None)

    def trees(self, at: Progress) -> Stepped:
        group, shard = self.sweeper.old(AddressKind.TREE, at.shard, most=self.most.digests)
        freed = self.sweeper.take(AddressKind.TREE, self._unnamed(AddressKind.TREE, group, at), group)
        return Removed(directories=freed.files, bytes=freed.size_bytes), at.at(shard)

    def files(self, at: Progress) -> Stepped:
        group, shard = self.sweeper.old(AddressKind.FILE, at.shard, most=self.most.digests)
        unnamed = self._unnamed(AddressKind.FILE, group, at)
        for tree in self._trees_that_stay(at) if unnamed else ():
            unnamed.difference_update(self.sweeper.files_of(tree))
        freed = self.sweeper.take(AddressKind.FILE, unnamed, group)
        left = Freed() if shard is not None else self.sweeper.take_drafts()
        size = freed.size_bytes + left.size_bytes
        return Removed(artifact_files=freed.files + left.files, bytes=size), at.at(shard)

    def _unnamed(self, kind: AddressKind, group: Mapping[str, int], at: Progress) -> set[str]:
        """Those that no row names."""
        unnamed = set(group)
        if unnamed:
            with pruning.references(self.engine, self.over(at) if self.dry_run else None) as named:
                for found, digest in named:
                    if found == kind:
                        unnamed.discard(digest)
        return unnamed

    def _trees_that_stay(self, at: Progress) -> Iterator[str]:
        """All that there are; in a dry run but for those that would have gone by now."""
        if not self.dry_run:
            yield from self.sweeper.trees()
            return
        gone: set[str] = set()
        shard: int | None = 0
        while shard is not None:
            group, shard = self.sweeper.old(AddressKind.TREE, shard, most=self.most.digests)
            gone |= self._unnamed(AddressKind.TREE, group, at)
        yield from (tree for tree in self.sweeper.trees() if tree not in gone)


_STEPS: Final[Mapping[Step, Callable[[Pruner, Progress], Stepped]]] = {
    Step.RUNS: Pruner.runs,
    Step.RESULTS: Pruner.results,
    Step.PIPELINES: Pruner.pipelines,
    Step.LOGS: Pruner.logs,
    Step.TREES: Pruner.trees,
    Step.FILES: Pruner.files,
}


def _logs(freed: Freed) -> Removed:
    return Removed(log_files=freed.files, bytes=freed.size_bytes)


def _pieces(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for first in range(0, len(ids), size):
        yield ids[first : first + size]
