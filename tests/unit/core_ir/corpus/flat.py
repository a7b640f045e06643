"""Tasks in one DAG: data, order, types, retries, caching, resources."""

# ruff: noqa: B006, UP045 (KFP reads defaults and Optional)

from typing import Optional

from kfp import dsl

from tests.unit.core_ir.corpus.case import ALWAYS, Case
from tests.unit.core_ir.corpus.components import (
    add,
    all_types,
    compare,
    configured,
    echo,
    fail,
    grade,
    hello,
    join,
    load,
    make,
    maybe,
    noop,
    shell,
    start_from,
    told,
    train,
    two,
    with_packages,
)


@dsl.pipeline(name="one-task")
def one_task() -> str:
    return echo(text="hi").output


@dsl.pipeline(name="chain")
def chain(n: int = 1) -> int:
    first = add(a=n)
    return add(a=first.output, b=10).output


@dsl.pipeline(name="diamond")
def diamond(n: int) -> int:
    top = add(a=n)
    left, right = add(a=top.output), add(a=top.output, b=2)
    return add(a=left.output, b=right.output).output


@dsl.pipeline(name="order-only")
def order_only():
    first, second = noop(), noop()
    noop().after(first, second)


@dsl.pipeline(name="artifacts")
def artifacts(rows: int = 4) -> float:
    data = load(rows=rows)
    model = train(data=data.outputs["data"], rate=0.5)
    grade(model=model.outputs["model"])
    return model.outputs["Output"]


@dsl.pipeline(name="every-type")
def every_type(
    s: str = "x",
    i: int = 3,
    d: float = 2.0,
    b: bool = False,
    l: list = [1, 2.5, {"a": 1}],  # noqa: E741
    o: dict = {"n": {"k": [1]}},
) -> str:
    return all_types(s=s, i=i, d=d, b=b, l=l, o=o).output


@dsl.pipeline(name="constants")
def constants() -> str:
    return all_types(s="é'\"", i=-1, d=1.5, b=True, l=[1, "a", [2.0]], o={"x": [True]}).output


@dsl.pipeline(name="text-of-anything")
def text_of_anything(n: int = 3, flag: bool = True, o: dict = {"a": 1}):
    echo(text=f"{n} and {flag}")
    echo(text=f"{o}!")


@dsl.pipeline(name="placed-in-lists")
def placed_in_lists(n: int = 3) -> str:
    other = add(a=n)
    return join(items=[n, other.output, "x"]).output


@dsl.pipeline(name="job-facts")
def job_facts() -> str:
    echo(text=f"in {dsl.PIPELINE_JOB_NAME_PLACEHOLDER}")
    echo(text=dsl.PIPELINE_TASK_NAME_PLACEHOLDER)
    return echo(text=dsl.PIPELINE_JOB_ID_PLACEHOLDER).output


@dsl.pipeline(name="several-outputs")
def several_outputs() -> str:
    both = two(number=7)
    add(a=both.outputs["number"])
    return echo(text=both.outputs["text"]).output


@dsl.pipeline(name="optional-left-out")
def optional_left_out(text: Optional[str] = None) -> str:
    maybe()
    return maybe(text=text, number=1).output


@dsl.pipeline(name="optional-artifact")
def optional_artifact():
    model = make(number=1)
    start_from()
    start_from(model=model.outputs["model"])


@dsl.pipeline(name="list-of-artifacts")
def list_of_artifacts() -> int:
    with dsl.ParallelFor([1, 2]) as number:
        model = make(number=number)
    return compare(models=dsl.Collected(model.outputs["model"])).output


@dsl.pipeline(name="failing")
def failing():
    broken = fail()
    echo(text=broken.output)
    noop()


@dsl.pipeline(name="retried")
def retried() -> int:
    return add(a=1).set_retry(3, backoff_duration="5s", backoff_factor=1.5, backoff_max_duration="60s").output


@dsl.pipeline(name="retried-in-vain")
def retried_in_vain():
    noop().after(add(a=1).set_retry(2))


@dsl.pipeline(name="ignoring-a-failure")
def ignoring_a_failure():
    broken = fail()
    told(text=broken.output).ignore_upstream_failure()


@dsl.pipeline(name="ignoring-nothing")
def ignoring_nothing() -> str:
    fine = echo(text="fine")
    return told(text=fine.output).ignore_upstream_failure().output


@dsl.pipeline(name="after-who-ignores")
def after_who_ignores():
    broken = fail()
    ignoring = told(text=broken.output).ignore_upstream_failure()
    echo(text=ignoring.output)


@dsl.pipeline(name="resources-and-variables")
def resources_and_variables(cpu: str = "2", mode: str = "fast"):
    task = add(a=1)
    task.set_cpu_limit(cpu).set_memory_limit("2Gi").set_accelerator_type(
        "nvidia.com/gpu"
    ).set_accelerator_limit(1)
    task.set_env_variable("MODE", "x").set_caching_options(enable_caching=False)
    with_packages().set_cpu_request("500m").set_display_name("packed")


@dsl.pipeline(name="containers")
def containers(extra: str = "e"):
    data = load(rows=2)
    first = shell(number=1, data=data.outputs["data"])
    shell(number=2, data=data.outputs["data"], extra=extra).after(first)
    hello()


@dsl.pipeline(name="imported-constant")
def imported_constant() -> float:
    data = dsl.importer(
        artifact_uri="s3://b/data", artifact_class=dsl.Dataset, reimport=True, metadata={"rows": 2}
    )
    return train(data=data.output, rate=0.5).outputs["Output"]


@dsl.pipeline(name="imported-parameter")
def imported_parameter(uri: str = "s3://b/data", rows: int = 3):
    data = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset, metadata={"rows": rows, "by": "x"})
    train(data=data.output, rate=1.0)


@dsl.pipeline(name="task-config")
def task_config():
    configured()


CASES = [
    Case(pipeline=one_task, succeeded="echo", outputs={"Output": "hi"}),
    Case(pipeline=chain, parameters={"n": 5}, succeeded="add add-2", outputs={"Output": 16}),
    Case(
        pipeline=diamond,
        parameters={"n": 1},
        succeeded="add add-2 add-3 add-4",
        outputs={"Output": 7},
        most_live=2,
    ),
    Case(pipeline=order_only, succeeded="noop noop-2 noop-3", most_live=2),
    Case(pipeline=artifacts, succeeded="load train grade", outputs={"Output": 2.0}),
    Case(
        pipeline=every_type,
        succeeded="all-types",
        outputs={"Output": "'x' 3 2.0 False [1, 2.5, {'a': 1}] {'n': {'k': [1]}}"},
    ),
    Case(
        pipeline=constants,
        succeeded="all-types",
        outputs={"Output": "'é\\'\"' -1 1.5 True [1, 'a', [2]] {'x': [True]}"},
    ),
    Case(
        pipeline=text_of_anything,
        succeeded="echo echo-2",
        given={"echo": {"text": "3 and true"}, "echo-2": {"text": '{"a": 1}!'}},
    ),
    Case(pipeline=placed_in_lists, succeeded="add join", outputs={"Output": "3+4+x"}),
    Case(
        pipeline=job_facts,
        succeeded="echo echo-2 echo-3",
        outputs={"Output": "r-1"},
        given={"echo": {"text": "in job"}, "echo-2": {"text": "echo-2"}},
    ),
    Case(pipeline=several_outputs, succeeded="two add echo", outputs={"Output": "n7"}),
    Case(
        pipeline=optional_left_out,
        succeeded="maybe maybe-2",
        outputs={"Output": "None/1"},
        given={"maybe": {"number": 3}},
    ),
    Case(pipeline=optional_artifact, succeeded="make start-from start-from-2"),
    Case(
        pipeline=list_of_artifacts,
        succeeded="for-loop-2[0].make for-loop-2[1].make compare",
        outputs={"Output": 2},
    ),
    Case(pipeline=failing, outcome="FAILED", succeeded="noop", failed="fail", skipped="echo"),
    Case(pipeline=retried, failures={"add": 3}, succeeded="add", outputs={"Output": 2}),
    Case(pipeline=retried_in_vain, failures={"add": 3}, outcome="FAILED", failed="add", skipped="noop"),
    Case(
        pipeline=ignoring_a_failure,
        outcome="FAILED",
        failed="fail",
        succeeded="told",
        given={"told": {"text": "nothing"}},
    ),
    Case(pipeline=ignoring_nothing, succeeded="echo told", outputs={"Output": "fine"}),
    Case(pipeline=after_who_ignores, outcome="FAILED", failed="fail", succeeded="told echo"),
    Case(pipeline=resources_and_variables, succeeded="add with-packages"),
    Case(pipeline=containers, succeeded="load shell shell-2 hello"),
    Case(pipeline=imported_constant, succeeded="importer train", outputs={"Output": 1.0}),
    Case(pipeline=imported_parameter, succeeded="importer train"),
    Case(pipeline=task_config, succeeded="configured"),
    Case(
        pipeline=chain,
        parameters={"n": 5},
        failures={"add": ALWAYS},
        outcome="FAILED",
        failed="add",
        skipped="add-2",
    ),
]
