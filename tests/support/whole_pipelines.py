"""Pipelines that use all of KFP's IR, compiled by KFP, for tests of the services: data, and the functions that the tasks call."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from kfp import dsl

from nodewise.core.ir import Program, read_program
from tests.support.dynamic_runs import compiled_documents
from tests.unit.core_ir.corpus.components import (
    add,
    compare,
    count,
    echo,
    fail,
    functions,
    grade,
    make,
    noop,
    report,
    total,
    train,
)
from tests.unit.core_ir.corpus.nested import inner

FUNCTIONS = functions()
DATA = "store://file/" + "da" * 32


@dsl.pipeline(name="everything")
def everything(n: int = 3, least: int = 2) -> int:
    """A loop over an output, collected; a branch; an importer; a sub-pipeline that is tried again; an exit task."""
    with dsl.ExitHandler(report(note="all: ")):
        numbers = count(n=n)
        with dsl.ParallelFor(numbers.output, parallelism=2) as number:
            made = make(number=number)
            with dsl.If(number > 0):
                grade(model=made.outputs["model"])
        models = compare(models=dsl.Collected(made.outputs["model"]))
        with dsl.If(models.output >= least):
            echo(text="many")
        with dsl.Else():
            noop()
        data = dsl.importer(artifact_uri=DATA, artifact_class=dsl.Dataset, metadata={"rows": 5})
        train(data=data.output, rate=0.5)
    return add(a=inner(n=1).set_retry(1, backoff_duration="7s").output).output


@dsl.pipeline(name="guarded-loop")
def guarded_loop(n: int = 3):
    """A loop over an output, a condition in it, an exit task: small enough for random lives."""
    with dsl.ExitHandler(report()):
        numbers = count(n=n).set_retry(1)
        with dsl.ParallelFor(numbers.output) as number:
            more = add(a=number)
            with dsl.If(more.output > 1):
                echo(text="large")
        total(numbers=dsl.Collected(more.output))


@dsl.pipeline(name="wide")
def wide(n: int) -> float:
    """As many iterations as are asked for."""
    with dsl.ParallelFor(count(n=n).output) as number:
        more = add(a=number)
    return total(numbers=dsl.Collected(more.output)).output


@dsl.pipeline(name="sized")
def sized(cores: str = "2", memory: str = "1Gi"):
    """Needs that are known only when the task is ready, from a parameter and from an output."""
    echo(text="now").set_cpu_limit(cores).set_memory_limit(memory)
    said = echo(text="3")
    echo(text="later").set_cpu_limit(said.output)


@dsl.pipeline(name="reusable")
def reusable(n: int = 1) -> int:
    """Two tasks, one after the other, whose results may be reused."""
    first = add(a=n)
    return add(a=first.output, b=10).output


@dsl.pipeline(name="called-twice")
def called_twice(n: int = 1):
    """One component twice with equal inputs, one call after the other."""
    first = add(a=n)
    add(a=n).after(first)


@dsl.pipeline(name="trained")
def trained(uri: str = DATA, rate: float = 0.5) -> float:
    """A task on imported data."""
    data = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset, metadata={"rows": 5})
    return train(data=data.output, rate=rate).outputs["Output"]


@dsl.pipeline(name="failing")
def failing():
    broken = fail()
    echo(text=broken.output)
    noop()


PIPELINES: Mapping[str, Any] = {
    pipeline.name: pipeline
    for pipeline in (everything, guarded_loop, wide, sized, reusable, called_twice, trained, failing)
}


@cache
def documents(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The IR and the platforms of a pipeline."""
    ir, platform = compiled_documents(PIPELINES[name])
    return ir, platform.get("platforms", {})


@cache
def program(name: str) -> Program:
    ir, platforms = documents(name)
    return read_program(ir, platforms)
