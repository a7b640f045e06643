"""A record and a store with something in them for retention, and what must be true of both at any moment."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import Engine, insert, text

from nodewise.api.pruning.progress import Progress
from nodewise.api.pruning.schemas import Removed
from nodewise.api.pruning.steps import Batches, Pruner
from nodewise.core.codec import encode
from nodewise.core.db import schema
from nodewise.core.db.engine import transaction
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath
from nodewise.core.model.resources import Resources
from nodewise.core.store import ArtifactStore, Sweeper, log_key
from tests.support.rows import insert_attempt, insert_node, insert_run, insert_task

LONG_AGO = timedelta(days=40)
MONTH = timedelta(days=30)
_NAMED = """
SELECT r.parameters::text FROM runs AS r UNION ALL SELECT outputs::text FROM tasks UNION ALL SELECT inputs::text FROM tasks
UNION ALL SELECT job_uri FROM attempts UNION ALL SELECT outputs::text FROM cached_results UNION ALL SELECT uri FROM datasets
"""


@dataclass
class Kept:
    """Rows and a store on real servers. `tick` numbers what is stored, so that it differs."""

    engine: Engine
    url: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    tick: int = 0

    @property
    def store(self) -> ArtifactStore:
        return ArtifactStore(self.url)

    @property
    def folder(self) -> Path:
        return Path(unquote(urlsplit(self.url).path))

    def node(self) -> None:
        with transaction(self.engine) as connection:
            insert_node(connection, "n1", Resources(millicores=4000, memory_mib=4000))

    def content(self, *, tree: bool = False, shared: bytes | None = None) -> str:
        """Something stored that nothing else is like: a file, or a directory of two (one of them `shared`)."""
        self.tick += 1
        own = f"content {self.tick}".encode()
        if not tree:
            return self.store.put_bytes(own)
        source = self.folder.parent / f"tree-{self.tick}"
        (source / "deep").mkdir(parents=True)
        (source / "deep" / "own").write_bytes(own)
        (source / "shared").write_bytes(shared or own)
        return self.store.put_path(source)[0]

    def run(
        self,
        uris: Iterable[str] = (),
        *,
        ended: timedelta | None = LONG_AGO,
        state: RunState = RunState.SUCCEEDED,
        task_state: TaskState = TaskState.SUCCEEDED,
        attempt_state: str = "SUCCEEDED",
        job: str | None = None,
        **columns: object,
    ) -> RunId:
        """A run of one task that left these artifacts, with an attempt, its job (None: one of its own) and its log. `ended`: how long ago."""
        refs = {f"out{i}": ArtifactRef(name=f"out{i}", uri=uri) for i, uri in enumerate(uris)}
        job = job or self.content()
        at = {} if ended is None else {"finished_at": self.now - ended}
        with transaction(self.engine) as connection:
            run_id = insert_run(
                connection,
                state=state,
                submitted_at=self.now - LONG_AGO,
                settled_at=self.now,
                **at,
                **columns,
            )
            outputs = encode(TaskOutputs(artifacts=refs))
            insert_task(connection, run_id, "a", state=task_state, outputs=outputs, attempt=1)
            insert_attempt(connection, run_id, "a", "n1", state=attempt_state, job_uri=job)
            connection.execute(
                insert(schema.events).values(run_id=run_id, event="submit", to_state="PENDING", service="api")
            )
            connection.execute(
                text("UPDATE pipeline_specs SET created_at = :at WHERE digest = 'digest-' || :id"),
                {"at": self.now - LONG_AGO, "id": run_id},
            )
        key = AttemptKey(run_id=run_id, path=TaskPath("a"), attempt=1)
        self.store.write_key(log_key(key), b"said something\n")
        return run_id

    def result(self, run_id: RunId, uri: str) -> str:
        """A result that may be reused, left by that run."""
        self.tick += 1
        outputs = TaskOutputs(artifacts={"out": ArtifactRef(name="out", uri=uri)})
        digest = f"result-{self.tick}"
        with transaction(self.engine) as connection:
            connection.execute(
                insert(schema.cached_results).values(
                    digest=digest, component="a", parts={}, outputs=encode(outputs), run_id=run_id, path="a",
                    stored_at=self.now - LONG_AGO,
                )
            )  # fmt: skip
        return digest

    def dataset(self, name: str, uri: str) -> None:
        with transaction(self.engine) as connection:
            connection.execute(
                insert(schema.datasets).values(
                    name=name, uri=uri, kind="tabular", size_bytes=1, types={}, created_at=self.now, updated_at=self.now
                )
            )  # fmt: skip

    def age(self, by: timedelta = LONG_AGO) -> None:
        """Everything in the store was written that long ago."""
        then = (self.now - by).timestamp()
        for path in self.folder.rglob("*"):
            if path.is_file():
                os.utime(path, (then, then))

    def pruner(self, **options: object) -> Pruner:
        dry = bool(options.get("dry_run"))
        return Pruner(
            engine=self.engine,
            sweeper=Sweeper(self.url, now=self.now, dry=dry),
            keep_failed=bool(options.get("keep_failed")),
            dry_run=dry,
            most=Batches(runs=2, rows=2, digests=int(str(options.get("digests", 3)))),
        )

    def start(self, older_than: timedelta = MONTH) -> Progress:
        return Progress(before=self.now - older_than)

    def prune(self, **options: object) -> dict[str, int]:
        """From the beginning to the end, in small batches; what went."""
        pruner, at = self.pruner(**options), self.start()
        total = dict.fromkeys(Removed.model_fields, 0)
        following: Progress | None = at
        while following is not None:
            removed, following = pruner.take(following)
            for name, count in removed.model_dump().items():
                total[name] += count
        return total

    def ids(self, table: str, column: str = "id") -> set[str]:
        with self.engine.connect() as connection:
            return {str(one) for one in connection.scalars(text(f"SELECT {column} FROM {table}"))}

    def named(self) -> set[str]:
        """All addresses that rows name."""
        with self.engine.connect() as connection:
            words = " ".join(str(one) for one in connection.scalars(text(_NAMED)))
        return set(re.findall("store://(?:file|tree)/[0-9a-f]{64}", words))

    def stored(self) -> set[str]:
        """All addresses that the store has something at."""
        return {
            f"store://{kind}/{path.name}" for kind in ("file", "tree") for path in self.folder.glob(f"{kind}/*/*")
        }  # fmt: skip

    def needed(self) -> set[str]:
        """All addresses that rows name, and those that trees among them consist of."""
        named = self.named()
        trees = [self.store.get_bytes(uri) for uri in named if uri.startswith("store://tree/")]
        return named | {
            f"store://file/{file['sha256']}" for raw in trees for file in json.loads(raw)["files"]
        }

    def check_whole(self) -> None:
        """Nothing that a row names is missing: this holds at every moment."""
        missing = self.needed() - self.stored()
        assert not missing, f"rows name what is gone: {sorted(missing)[:3]}"
