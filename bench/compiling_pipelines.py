"""What `bench.compiling` compiles: independent tasks with the same limits, by our SDK and by KFP's."""

from typing import Any

from google.protobuf.json_format import MessageToDict
from kfp import dsl

from nodewise.sdk import Resources, pipeline, task
from nodewise.sdk.compiled import compile as compile_ours


@task(resources=Resources(cpu=0.1, memory="64Mi"))
def tick(n: int) -> int:
    return n


@dsl.component(base_image="python:3.11")
def tock(n: int) -> int:
    return n


def ours(size: int) -> dict[str, Any]:
    """The IR of a pipeline of so many tasks."""

    @pipeline(name="many")
    def many() -> None:
        for n in range(size):
            tick(n=n)

    return compile_ours(many).pipeline_spec


def kfps(size: int) -> dict[str, Any]:
    """The same, written with KFP alone."""

    @dsl.pipeline(name="many")
    def many() -> None:
        for n in range(size):
            limited = tock(n=n).set_cpu_request("100m").set_cpu_limit("100m")
            limited.set_memory_request("64Mi").set_memory_limit("64Mi")

    return dict(MessageToDict(many.pipeline_spec))
