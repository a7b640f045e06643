"""What the parts that run tasks submit, compiled by KFP."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import yaml

CHAIN_LENGTH = 4


def compiled(name: str) -> dict[str, Any]:
    """The IR of one of the pipelines below."""
    warnings.simplefilter("ignore")
    from kfp import compiler  # noqa: PLC0415 - slow to import

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile({"moment": _moment, "chain": _chain}[name](), str(path))
        found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def _moment() -> Any:
    """One task that says when its first line ran."""
    from kfp import dsl  # noqa: PLC0415

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def now() -> float:
        import time  # noqa: PLC0415 - a component is a function of its own

        return time.time()

    @dsl.pipeline(name="moment")
    def moment() -> float:
        return now().output

    return moment


def _chain() -> Any:
    """Tasks that do nothing, each with the result of the one before it."""
    from kfp import dsl  # noqa: PLC0415

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def same(x: int) -> int:
        return x

    @dsl.pipeline(name="chain")
    def chain(n: int) -> int:
        found = same(x=n).set_cpu_request("500m").set_memory_request("64Mi").output
        for _ in range(CHAIN_LENGTH - 1):
            found = same(x=found).set_cpu_request("500m").set_memory_request("64Mi").output
        return found

    return chain
