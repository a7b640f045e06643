"""Scheduler, placers and recorder of the engine `kubeflow` on a real database, on the clock of a KFP test server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import redis
from sqlalchemy import Engine, text

from nodewise.api.acceptance import accept
from nodewise.api.choice import Choice
from nodewise.api.requests import submit_request
from nodewise.api.retrying import next_try
from nodewise.api.submission import new_run, read_submission
from nodewise.core import plugins
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.ended_runs import stored_run
from nodewise.core.db.queries.runs import request_cancel
from nodewise.core.db.queries.specs import compiled_specs
from nodewise.core.db.queries.submissions import insert_run
from nodewise.core.engine.kubeflow.client import KfpApi, KfpClient
from nodewise.core.engine.kubeflow.connection import KfpConnection
from nodewise.core.engine.kubeflow.engine import KubeflowEngine
from nodewise.core.engine.kubeflow.kubernetes_api import KubernetesConnection, KubernetesNodes
from nodewise.core.engine.kubeflow.nodes import NodesSource
from nodewise.core.engine.kubeflow.paths import place_of
from nodewise.core.engine.kubeflow.submission import SubmissionJournal
from nodewise.core.model.ids import RunId
from nodewise.core.settings import Settings
from nodewise.placer.kubeflow.journal import PostgresJournal
from nodewise.placer.kubeflow.placing import EarlyPlacer
from nodewise.placer.kubeflow.submitting import Submitter
from nodewise.recorder.kubeflow.following import Follower
from nodewise.recorder.kubeflow.nodes import NodeWatch
from nodewise.scheduler.service import Scheduler
from tests.support.kfp_server.server import KfpServer
from tests.support.placing import all_rows, make_scheduler

QUIET = timedelta(seconds=60)


@dataclass
class Services:
    """All that a run on KFP meets. Time is the server's: it stands still until it is turned."""

    server: KfpServer
    engine: Engine
    settings: Settings
    woken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kfp = KfpClient(KfpConnection(url=self.server.url, read_seconds=1.0))
        self.source: NodesSource = KubernetesNodes(KubernetesConnection(url=self.server.url))
        self.scheduler: Scheduler = make_scheduler(self.engine, self.settings, clock=self.now)
        self.placer = self.make_placer()
        self.submitter = self.make_submitter()
        self.follower = self.make_follower()
        self.watch = self.make_watch()

    def now(self) -> datetime:
        return self.server.clock.now

    def make_placer(self, name: str = "placer-1") -> EarlyPlacer:
        return EarlyPlacer(
            name=name,
            engine=self.engine,
            redis=redis.Redis.from_url(self.settings.redis_url),
            settings=self.settings,
            strategies=plugins.strategies(),
            options={},
            rng=Random(1),
            clock=self.now,
            submit_soon=lambda: self.woken.append("submitter"),
        )

    def make_submitter(
        self, kfp: KfpApi | None = None, journal: SubmissionJournal | None = None
    ) -> Submitter:
        kubeflow = KubeflowEngine(
            kfp or self.kfp,
            journal or PostgresJournal(self.engine, self.now),
            clock=self.now,
            quiet=QUIET,
        )
        return Submitter(
            engine=self.engine,
            kubeflow=kubeflow,
            settings=self.settings,
            clock=self.now,
            refused_soon=lambda: self.woken.append("recorder"),
        )

    def make_follower(self) -> Follower:
        journal = PostgresJournal(self.engine, self.now)
        return Follower(
            self.engine,
            self.kfp,
            KubeflowEngine(self.kfp, journal, clock=self.now),
            settings=self.settings,
            clock=self.now,
            wake=lambda: self.woken.append("scheduler"),
        )

    def make_watch(self) -> NodeWatch:
        return NodeWatch(
            self.engine,
            self.source,
            settings=self.settings,
            clock=self.now,
            wake=lambda: self.woken.append("scheduler"),
        )

    def submit(
        self,
        document: tuple[Mapping[str, Any], Mapping[str, Any]],
        *,
        strategy: str = "greedy",
        policy: str = "fifo",
        engine: str = "kubeflow",
        **body: Any,
    ) -> RunId:
        """Submit a compiled pipeline as the gateway does."""
        ir, platforms = document
        given = {"pipeline_spec": ir, "platform_spec": {"platforms": platforms}, **body}
        request = submit_request({**given, "engine": engine})
        submission = read_submission(request, given, key=None, settings=self.settings)
        run = new_run(submission, Choice(policy=policy, strategy=strategy), {}, now=self.now())
        with transaction(self.engine) as connection:
            insert_run(connection, run)
        return run.id

    def retry(self, run_id: RunId) -> RunId:
        """Submit the next try of a run as the gateway does."""
        with transaction(self.engine) as connection:
            stored = stored_run(connection, run_id)
            assert stored is not None
            spec = compiled_specs(connection, [stored.spec_digest])[stored.spec_digest]
            submission = next_try(run_id, stored, spec, key=None, settings=self.settings)
            return accept(connection, submission, self.settings, now=self.now()).run_id

    def hand_over(self) -> None:
        """See the nodes, admit, bind, submit."""
        self.watch.look()
        self.scheduler.look()
        self.placer.look()
        self.submitter.look()

    def run_to_the_end(self, seconds: float = 1_000_000) -> None:
        """Until KFP has ended all that it has, and that is on record."""
        self.hand_over()
        self.server.settle(seconds)
        self.follower.look()

    def cancel(self, run_id: RunId) -> None:
        with transaction(self.engine) as connection:
            assert request_cancel(connection, run_id, now=self.now())

    def close(self) -> None:
        self.kfp.close()
        assert isinstance(self.source, KubernetesNodes)
        self.source.close()
        self.scheduler.loader.redis.close()

    def run(self, run_id: RunId) -> tuple[Any, ...]:
        """State and error."""
        return tuple(all_rows(self.engine, "SELECT state, error FROM runs WHERE id = :id", id=run_id)[0])

    def tasks(self, run_id: RunId) -> dict[str, str]:
        """States by path."""
        rows = all_rows(
            self.engine, "SELECT path, state FROM tasks WHERE run_id = :id ORDER BY ordinal", id=run_id
        )
        return {str(path): str(state) for path, state in rows}

    def reasons(self, run_id: RunId) -> dict[str, tuple[Any, ...]]:
        """Code and text by path."""
        rows = all_rows(
            self.engine, "SELECT path, reason_code, reason FROM tasks WHERE run_id = :id", id=run_id
        )
        return {str(path): rest for path, *rest in rows}

    def nodes(self, run_id: RunId) -> dict[str, str]:
        """The node of each task's latest attempt."""
        rows = all_rows(
            self.engine,
            "SELECT t.path, a.node FROM tasks t JOIN attempts a USING (run_id, path, attempt) WHERE run_id = :id",
            id=run_id,
        )
        return {str(path): str(node) for path, node in rows}

    def hosts(self, run_id: RunId) -> dict[str, str]:
        """Where the latest pod of each task really was, by the path of the task."""
        found: dict[str, str] = {}
        for name, node in sorted(self.server.hosts(run_id).items()):
            place = place_of(f"wf.{name}", "wf")
            if place is not None and node is not None:
                found[place.path] = node
        return found

    def expected(self, run_id: RunId) -> dict[str, str]:
        """The node of each task in the latest plan."""
        rows = all_rows(self.engine, "SELECT path, expected_node FROM tasks WHERE run_id = :id", id=run_id)
        return {str(path): str(node) for path, node in rows}

    def submission(self, run_id: RunId) -> dict[str, Any]:
        with self.engine.connect() as connection:
            found = connection.execute(
                text("SELECT * FROM kfp_submissions WHERE run_id = :id"), {"id": run_id}
            )
            return dict(found.mappings().one())
