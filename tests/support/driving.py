"""Whole runs on a real database: everything that is READY is placed, and ends as its function says."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nodewise.core.codec import decode
from nodewise.core.ir import Program
from nodewise.core.ir.locate import leaf_at
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport
from nodewise.core.model.artifact import TaskOutputs, Values
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath
from nodewise.core.model.resources import Resources
from tests.support.dynamic_runs import left_by
from tests.support.recording import NODE_SIZE, World, report
from tests.support.whole_pipelines import FUNCTIONS

Functions = Mapping[str, Callable[..., Any]]


@dataclass
class Driver:
    """Hands for all runs of a world. `failures` says how many first attempts fail, by task path; `failures_of` by run, too.

    With `order` the live tasks end one by one, whichever comes up; without, all at once.
    """

    world: World
    programs: dict[RunId, Program] = field(default_factory=dict)
    functions: Functions = field(default_factory=lambda: FUNCTIONS)
    failures: Mapping[str, int] = field(default_factory=dict)
    failures_of: Mapping[RunId, Mapping[str, int]] = field(default_factory=dict)
    capacity: Resources = NODE_SIZE
    order: random.Random | None = None
    live: list[AttemptKey] = field(default_factory=list)
    seen: dict[str, Values] = field(default_factory=dict)
    after_each: Callable[[], None] = lambda: None

    def run(self, *, most: int = 200) -> None:
        """Until nothing is READY and nothing is live."""
        for _ in range(most):
            self.world.recorder.tick()
            self.after_each()
            if not self.step():
                return
        raise AssertionError("the runs go on and on")

    def step(self) -> bool:
        """Place what is READY and let something end; False: there is nothing."""
        self.place()
        if not self.live:
            return False
        ending = [self.order.choice(self.live)] if self.order else list(self.live)
        self.end(*ending)
        self.after_each()
        return True

    def place(self) -> list[AttemptKey]:
        """Place all that is READY, and let it be seen running."""
        ready = self.world.all("SELECT run_id, path FROM tasks WHERE state = 'READY' ORDER BY run_id, path")
        keys = [self.world.place(RunId(str(run_id)), str(path)) for run_id, path in ready]
        self.live += keys
        if keys:
            self.world.clock.forward(1)
            self.hear()
        return keys

    def hear(self, *ended: AttemptReport) -> None:
        """The node says how everything stands."""
        keys = {end.key for end in ended}
        running = [
            report(key, "RUNNING", started_at=self.world.clock.now) for key in self.live if key not in keys
        ]
        self.world.hear(*running, *ended, capacity=self.capacity)
        self.live = [key for key in self.live if key not in keys]

    def end(self, *keys: AttemptKey) -> None:
        """These end as their functions say, all in one heartbeat."""
        self.world.clock.forward(1)
        self.hear(*(self._end(key) for key in keys))

    def _end(self, key: AttemptKey) -> AttemptReport:
        now = self.world.clock.now
        failing = self.failures_of.get(key.run_id, self.failures)
        if key.attempt <= failing.get(key.path, 0):
            return self._failed(key, "made to fail")
        try:
            outputs = self.outputs(key)
        except Exception as error:
            return self._failed(key, str(error))
        return report(key, AttemptState.SUCCEEDED, finished_at=now, outputs=outputs)

    def _failed(self, key: AttemptKey, message: str) -> AttemptReport:
        now = self.world.clock.now
        return report(
            key,
            AttemptState.FAILED,
            finished_at=now,
            exit_code=1,
            reason=ReasonCode.EXIT_CODE,
            message=message,
        )

    def outputs(self, key: AttemptKey) -> TaskOutputs:
        """What a task leaves, from the inputs on record."""
        leaf = leaf_at(self.programs[key.run_id], key.path)
        assert leaf is not None
        inputs = inputs_on_record(self.world, key.run_id, key.path)
        self.seen[key.path] = inputs
        return left_by(leaf, inputs, path=key.path, functions=self.functions)


def inputs_on_record(world: World, run_id: RunId, path: TaskPath) -> Values:
    """The inputs of a task that has become ready."""
    (inputs,) = world.one(
        "SELECT inputs FROM tasks WHERE run_id = :id AND path = :path", id=run_id, path=path
    )
    assert inputs is not None, f"{path} started without inputs on record"
    return decode(Values, inputs)


def run_row(world: World, run_id: RunId) -> dict[str, Any]:
    """State, error and outputs of a run."""
    state, error, outputs = world.one(
        "SELECT state, error, CAST(outputs AS text) FROM runs WHERE id = :id", id=run_id
    )
    return {"state": state, "error": error, "outputs": json.loads(str(outputs or "{}")).get("parameters", {})}
