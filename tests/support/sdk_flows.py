"""Pipelines of ours with loops, conditions, exit tasks and pipelines in them, and what drives them."""

# ruff: noqa: B006, PLC0415 (KFP takes plain defaults, and a task imports in its body)

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from kfp import components

from nodewise.core.ir import read_program
from nodewise.sdk import (
    CompiledPipeline,
    Dataset,
    In,
    Metrics,
    Model,
    Out,
    Pipeline,
    RunStatus,
    Task,
    collect,
    compile,  # noqa: A004
    each,
    elif_when,
    on_exit,
    one_of,
    otherwise,
    pipeline,
    task,
    when,
)
from tests.support.dynamic_runs import FakeRun


class Pair(NamedTuple):
    small: int
    large: int


@task
def double(n: int) -> int:
    return 2 * n


@task
def half(x: float) -> float:
    return x / 2


@task
def add(a: int, b: int = 0) -> int:
    return a + b


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@task
def flat_total(numbers: list) -> int:
    return sum(n for inner in numbers for n in inner)


@task
def count(n: int) -> list[int]:
    return list(range(n))


@task
def settings() -> list[dict[str, float]]:
    return [{"rate": 0.5, "name": 1.0}, {"rate": 2.0, "name": 2.0}]


@task
def even(n: int) -> bool:
    return n % 2 == 0


@task
def pair(n: int) -> Pair:
    from collections import namedtuple

    return namedtuple("Pair", "small large")(n, 10 * n)


@task
def say(text: str = "nothing") -> str:
    return text


@task
def anything() -> list:
    return [1, 2]


@task
def train(seed: int, model: Out[Model]) -> float:
    model.metadata["seed"] = seed
    return seed / 10


@task
def grade(model: In[Model], scores: Out[Metrics]) -> int:
    return int(model.metadata["seed"])


@task
def best(models: In[list[Model]]) -> int:
    return max(int(model.metadata["seed"]) for model in models)


@task
def clean(data: In[Dataset], clean: Out[Dataset]):
    clean.metadata.update(data.metadata)


@task
def tell(status: RunStatus, note: str = "") -> str:
    return f"{status.state}{note}"


@task
def boom(n: int) -> int:
    raise RuntimeError(f"no {n}")


TASKS: list[Task[..., Any]] = [
    double, half, add, total, flat_total, count, settings, even, pair, say, anything, train, grade, best, clean, tell, boom,
]  # fmt: skip


@pipeline
def seeds(first: int, last: int = 3) -> list[Model]:
    """Two models."""
    with each([0, 1], parallelism=1) as n:
        made = train(seed=add(a=first, b=n))
    train(seed=last)
    return collect(made.model)


@pipeline
def both(n: int) -> Pair:
    made = pair(n=n)
    return Pair(double(n=made.small).output, made.large)


@pipeline
def graded(model: In[Model]) -> int:
    return grade(model=model).output


@pipeline
def search(rates: list[float] = [0.5, 4.0], least: float = 1.0, note: str = "x") -> str:
    """All of it in one."""
    with on_exit(tell(note=note)), each(rates, parallelism=2) as rate:
        score = half(x=rate)
        with when(score.output >= least):
            good = say(text=f"{rate} is good")
        with elif_when(rate == 0.5):
            fair = say(text="fair")
        with otherwise():
            bad = say(text="bad")
        say(text=one_of(good.output, fair.output, bad.output))
    with each(seeds(first=5).output) as model:
        graded(model=model)
    return say(text=f"{note}!").output


def drive(
    target: Pipeline, parameters: Mapping[str, object] | None = None, **more: Any
) -> tuple[FakeRun, Any]:
    """Compile it, let KFP read it, interpret it to its end; the tasks are called as functions."""
    compiled = compile(target)
    kfp_reads(compiled)
    program = read_program(compiled.pipeline_spec, compiled.platform_spec)
    functions = {item.name: item.function for item in TASKS}
    run = FakeRun(program=program, functions=functions, parameters=parameters or {}, **more)
    return run, run.run()


def kfp_reads(compiled: CompiledPipeline) -> Any:
    """Loaded by KFP from the file that is written; what KFP then writes is the same pipeline."""
    with tempfile.TemporaryDirectory() as folder:
        file = compiled.write(Path(folder, "pipeline.yaml"))
        loaded = components.load_component_from_file(str(file))
        assert next(yaml.safe_load_all(file.read_text())) == compiled.pipeline_spec
    return loaded
