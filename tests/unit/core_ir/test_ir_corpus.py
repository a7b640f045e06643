"""Every pipeline of the corpus, compiled by KFP, ends as KFP documents."""

import random
from functools import cache
from typing import Any

import pytest

from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir import Program, read_program
from nodewise.core.lifecycle import TaskState
from tests.support.dynamic_runs import FakeRun, compiled_documents
from tests.unit.core_ir.corpus.case import Case
from tests.unit.core_ir.corpus.components import functions
from tests.unit.core_ir.corpus.every import CASES
from tests.unit.core_ir.corpus.refused import REFUSED, Refusal

IDS = [f"{index}-{case.name}" for index, case in enumerate(CASES)]


@cache
def program_of(index: int) -> Program:
    return read_program(*compiled_documents(CASES[index].pipeline))


def made(index: int, **more: Any) -> FakeRun:
    case = CASES[index]
    return FakeRun(
        program=program_of(index),
        functions=functions(),
        parameters=case.parameters,
        failures=case.failures,
        **more,
    )


@pytest.mark.parametrize("index", range(len(CASES)), ids=IDS)
def test_it_ends_as_documented(index: int) -> None:
    case, run = CASES[index], made(index)
    end = run.run()
    assert (end.outcome, run.of_state(TaskState.SUCCEEDED)) == (case.outcome, set(case.succeeded.split())), (
        run.rows
    )
    assert run.of_state(TaskState.FAILED) == set(case.failed.split())
    assert run.of_state(TaskState.SKIPPED) == set(case.skipped.split())
    assert not run.of_state(TaskState.CANCELED)
    for name, value in case.outputs.items():
        assert end.outputs.parameters[name] == value
    check_inputs(case, run)


def check_inputs(case: Case, run: FakeRun) -> None:
    for path, wanted in case.given.items():
        seen = run.seen[path].parameters
        assert {name: seen.get(name) for name in wanted} == wanted
    if case.most_live is not None:
        assert run.most_live == case.most_live


@pytest.mark.parametrize("index", range(len(CASES)), ids=IDS)
def test_the_order_of_events_changes_nothing(index: int) -> None:
    first = made(index)
    wanted = first.run()
    for seed in range(3):
        run = made(index, order=random.Random(seed))
        end = run.run()
        assert (end.outcome, end.outputs, run.states, run.seen) == (
            wanted.outcome,
            wanted.outputs,
            first.states,
            first.seen,
        )


@pytest.mark.parametrize("index", range(len(CASES)), ids=IDS)
def test_a_canceled_run_ends_after_its_exit_tasks_only(index: int) -> None:
    for after in range(3):
        run = made(index, order=random.Random(after), cancel_after=after)
        before = len(run.ended)
        end = run.run()
        assert end.outcome is not None
        if run.canceling:
            late = run.ended[before:]
            assert len(set(late)) == len(late)


@pytest.mark.parametrize("refusal", REFUSED, ids=lambda refusal: refusal.pipeline.name)
def test_it_is_refused_before_anything_runs(refusal: Refusal) -> None:
    with pytest.raises(InvalidPipeline) as refused:
        read_program(*compiled_documents(refusal.pipeline))
    assert refused.value.path.startswith(refusal.path)
    assert refusal.words in str(refused.value)


def test_the_corpus_is_large() -> None:
    assert len({case.name for case in CASES}) >= 60
