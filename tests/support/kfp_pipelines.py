"""Pipelines written with KFP's own SDK and compiled by its compiler: what a user of KFP would bring along.

Each entry of `SUPPORTED` and `REFUSED` makes one when called; nothing here is run.
"""

# ruff: noqa: UP045 (KFP reads Optional[str], not str | None)

from collections.abc import Callable
from typing import Any, NamedTuple, Optional

from google.protobuf import json_format
from kfp import dsl

IMAGE = "python:3.11"
component = dsl.component(base_image=IMAGE)


@component
def prepare(rows: int, name: str, train: dsl.Output[dsl.Dataset], scale: float = 0.5) -> int:
    with open(train.path, "w") as file:  # noqa: PTH123
        file.write(name * int(rows * scale))
    return rows


@component
def fit(
    data: dsl.Input[dsl.Dataset],
    rows: int,
    model: dsl.Output[dsl.Model],
    start: dsl.Input[dsl.Artifact] = None,
) -> float:
    return rows / 2


@component
def score(model: dsl.Input[dsl.Model], metrics: dsl.Output[dsl.Metrics], floor: float = 0.0):
    metrics.log_metric("floor", floor)


@component
def best(scores: list, label: str, options: dict = {"a": 1}) -> str:  # noqa: B006
    return label


@component
def noop():
    pass


@component
def two() -> NamedTuple("Both", [("number", int), ("text", str)]):
    return 1, "x"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def bare(text: str, flag: bool = True, nothing: Optional[str] = None) -> bool:
    return flag


@dsl.component(base_image=IMAGE, packages_to_install=["pandas==2.1", "kfp==2.17.0"])
def needs_pandas():
    pass


@dsl.component(base_image=IMAGE, target_image="registry/x:1")
def containerised():
    pass


@component
def after_all(status: dsl.PipelineTaskFinalStatus):
    pass


@component
def many(models: dsl.Input[list[dsl.Model]]):
    pass


@dsl.container_component
def shell(n: int):
    return dsl.ContainerSpec(image="alpine", command=["echo"], args=[n])


@dsl.container_component
def shell_2(n: int):
    return dsl.ContainerSpec(image="alpine", command=["printf"], args=[n])


@dsl.pipeline(name="inner")
def inner(text: str) -> bool:
    return bare(text=text).output


def single() -> Any:
    @dsl.pipeline(name="single")
    def pipeline():
        noop()

    return pipeline


def chain() -> Any:
    @dsl.pipeline(name="chain", description="three steps")
    def pipeline(rows: int = 3, name: str = "x"):
        data = prepare(rows=rows, name=name)
        model = fit(data=data.outputs["train"], rows=data.outputs["Output"])
        score(model=model.outputs["model"])

    return pipeline


def fan() -> Any:
    @dsl.pipeline(name="fan")
    def pipeline(rows: int):
        data = prepare(rows=rows, name="x")
        fits = [fit(data=data.outputs["train"], rows=number) for number in (1, 2, 3)]
        best(scores=[task.outputs["Output"] for task in fits], label="all")

    return pipeline


def f_strings() -> Any:
    @dsl.pipeline(name="f-strings")
    def pipeline(who: str = "you", rows: int = 2):
        data = prepare(rows=rows, name=f"hello {who}, {rows} rows")
        best(
            scores=[rows, data.outputs["Output"]],
            label=f"{data.outputs['Output']}!",
            options={"who": who, "deep": [f"<{who}>", rows]},
        )

    return pipeline


def dependencies() -> Any:
    @dsl.pipeline(name="dependencies")
    def pipeline():
        first, second = noop(), noop()
        noop().after(first, second)

    return pipeline


def retries() -> Any:
    @dsl.pipeline(name="retries")
    def pipeline():
        noop().set_retry(3, backoff_duration="5s", backoff_factor=1.5, backoff_max_duration="60s")

    return pipeline


def resources() -> Any:
    @dsl.pipeline(name="resources")
    def pipeline():
        noop().set_cpu_request("500m").set_cpu_limit("2").set_memory_request("512Mi").set_memory_limit("4Gi")
        noop().set_cpu_limit("2").set_memory_limit("1G")
        noop().set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(2)

    return pipeline


def environment() -> Any:
    @dsl.pipeline(name="environment")
    def pipeline():
        noop().set_env_variable("MODE", "fast").set_env_variable("EMPTY", "").set_caching_options(False)

    return pipeline


def defaults() -> Any:
    @dsl.pipeline(name="defaults")
    def pipeline(
        i: int = 3,
        d: float = 2.0,
        s: str = "",
        b: bool = False,
        l: list = [1, 2.5],  # noqa: B006, E741
        o: dict = {"n": {"k": [1]}},  # noqa: B006
        optional: Optional[str] = None,
    ):
        bare(text=s, flag=b, nothing=optional)
        best(scores=l, label=s, options=o)
        prepare(rows=i, name=s, scale=d)

    return pipeline


def named_outputs() -> Any:
    @dsl.pipeline(name="named-outputs")
    def pipeline():
        both = two()
        prepare(rows=both.outputs["number"], name=both.outputs["text"])

    return pipeline


def without_pip() -> Any:
    @dsl.pipeline(name="without-pip")
    def pipeline(text: str):
        bare(text=text)

    return pipeline


def optional_artifact() -> Any:
    @dsl.pipeline(name="optional-artifact")
    def pipeline():
        data = prepare(rows=1, name="x")
        fit(data=data.outputs["train"], rows=1)
        fit(data=data.outputs["train"], rows=1, start=data.outputs["train"])

    return pipeline


def with_output() -> Any:
    @dsl.pipeline(name="with-output")
    def pipeline() -> bool:
        return bare(text="x").output

    return pipeline


def component_alone() -> Any:
    return bare


def with_hints() -> Any:
    @dsl.pipeline(name="with-hints")
    def pipeline():
        task = noop()
        task.platform_config["nodewise"] = {
            "kind": "training",
            "model": {"type": "svm", "parameters": {"C": 1.5}},
        }
        task.platform_config["kubernetes"] = {
            "nodeSelector": {"labels": {"kubernetes.io/hostname": "n1", "disk": "ssd"}},
            "activeDeadlineSeconds": 90,
            "podMetadata": {"labels": {"a": "b"}},
        }

    return pipeline


def condition() -> Any:
    @dsl.pipeline(name="condition")
    def pipeline(text: str):
        with dsl.If(text == "x"):
            noop()

    return pipeline


def loop() -> Any:
    @dsl.pipeline(name="loop")
    def pipeline():
        with dsl.ParallelFor(["a", "b"]) as item:
            bare(text=item)

    return pipeline


def exit_handler() -> Any:
    @dsl.pipeline(name="exit-handler")
    def pipeline():
        with dsl.ExitHandler(noop()):
            bare(text="x")

    return pipeline


def final_status() -> Any:
    @dsl.pipeline(name="final-status")
    def pipeline():
        with dsl.ExitHandler(after_all()):
            bare(text="x")

    return pipeline


def ignored_failure() -> Any:
    @dsl.pipeline(name="ignored-failure")
    def pipeline():
        first = noop()
        noop().after(first).ignore_upstream_failure()

    return pipeline


def nested() -> Any:
    @dsl.pipeline(name="nested")
    def pipeline():
        inner(text="x")

    return pipeline


def container() -> Any:
    @dsl.pipeline(name="container")
    def pipeline():
        shell(n=1)

    return pipeline


def containerised_python() -> Any:
    @dsl.pipeline(name="containerised-python")
    def pipeline():
        containerised()

    return pipeline


def packages() -> Any:
    @dsl.pipeline(name="packages")
    def pipeline():
        needs_pandas()

    return pipeline


def importer() -> Any:
    @dsl.pipeline(name="importer")
    def pipeline():
        dsl.importer(artifact_uri="gs://b/x", artifact_class=dsl.Dataset)

    return pipeline


def input_artifact() -> Any:
    @dsl.pipeline(name="input-artifact")
    def pipeline(data: dsl.Input[dsl.Dataset]):
        fit(data=data, rows=1)

    return pipeline


def cpu_parameter() -> Any:
    @dsl.pipeline(name="cpu-parameter")
    def pipeline(cpu: str):
        noop().set_cpu_limit(cpu)

    return pipeline


def job_name() -> Any:
    @dsl.pipeline(name="job-name")
    def pipeline():
        bare(text=dsl.PIPELINE_JOB_NAME_PLACEHOLDER)

    return pipeline


def artifact_list() -> Any:
    @dsl.pipeline(name="artifact-list")
    def pipeline():
        data = prepare(rows=1, name="x")
        with dsl.ParallelFor([1, 2]) as item:
            task = fit(data=data.outputs["train"], rows=item)
        many(models=dsl.Collected(task.outputs["model"]))

    return pipeline


def volume() -> Any:
    @dsl.pipeline(name="volume")
    def pipeline():
        noop().platform_config["kubernetes"] = {"pvcMount": [{"mountPath": "/d", "constant": "claim"}]}

    return pipeline


def container_copies() -> Any:
    """Two calls of one component, and one of another whose name ends as if it were a third copy."""

    @dsl.pipeline(name="container-copies")
    def pipeline():
        shell(n=1)
        shell(n=2).set_cpu_limit("2")
        shell_2(n=1)

    return pipeline


SUPPORTED: tuple[Callable[[], Any], ...] = (
    single, chain, fan, f_strings, dependencies, retries, resources, environment, defaults, named_outputs, without_pip,
    optional_artifact, with_output, component_alone, with_hints, condition, loop, exit_handler, final_status, ignored_failure,
    nested, container, container_copies, containerised_python, packages, importer, cpu_parameter, job_name, artifact_list,
)  # fmt: skip
REFUSED: dict[Callable[[], Any], str] = {
    input_artifact: "root.inputDefinitions.artifacts.data",
    volume: "platforms.kubernetes.deploymentSpec.executors.exec-noop.pvcMount",
}
"""What is refused, and where."""


def compiled_by_kfp(make: Callable[[], Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The IR and the platform spec, as JSON."""
    pipeline = make()
    return json_format.MessageToDict(pipeline.pipeline_spec), json_format.MessageToDict(
        pipeline.platform_spec
    )
