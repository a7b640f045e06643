"""What a task needs of its node."""

from typing import Any

import pytest

from nodewise.core.errors import UnresolvedInput
from nodewise.core.ir import Values
from nodewise.core.ir.needs import Needs, filled, needs, needs_before, values_only
from nodewise.core.ir.placeholders import Fact, Part, Reference
from nodewise.core.ir.tree import Leaf
from nodewise.core.model.component import (
    Accelerator,
    ContainerWork,
    ImportWork,
    PythonWork,
    ResourceTexts,
    Signature,
    Work,
)
from nodewise.core.model.resources import Resources

CPU = "{{$.inputs.parameters['cpu']}}"


def leaf_with(**resources: Any) -> Leaf:
    return leaf_of(PythonWork(source="", function="f", resources=ResourceTexts(**resources)))


def leaf_of(work: Work) -> Leaf:
    return Leaf(name="comp-f", label="exec-f", signature=Signature(), work=work)


def needed(leaf: Leaf, **parameters: object) -> Needs:
    return needs(leaf, Values(parameters=parameters), path="loop[0].f")


def test_a_task_that_says_nothing_needs_a_core_and_a_little_memory() -> None:
    assert needed(leaf_with()) == Needs(resources=Resources(millicores=1000, memory_mib=256))


def test_a_request_is_booked_before_a_limit_and_the_limit_stays_one() -> None:
    leaf = leaf_with(
        resource_cpu_limit="2", resource_cpu_request="500m", resource_memory_limit="2Gi", resource_memory_request="512Mi"
    )  # fmt: skip
    assert needed(leaf) == Needs(resources=Resources(millicores=500, memory_mib=512), memory_limit_mib=2048)


def test_text_counts_before_the_older_numbers() -> None:
    assert needed(leaf_with(cpu_limit=4.0, resource_cpu_limit="250m")).resources.millicores == 250
    older = needed(leaf_with(cpu_limit=0.5, memory_limit=1.0))
    assert (older.resources, older.memory_limit_mib) == (Resources(millicores=500, memory_mib=954), 954)


@pytest.mark.parametrize(
    ("accelerator", "gpus", "kind"),
    [
        (Accelerator(), 0, None),
        (Accelerator(count=2), 0, None),
        (Accelerator(type="nvidia.com/gpu"), 1, "gpu"),
        (Accelerator(resource_type="nvidia.com/gpu", resource_count="4"), 4, "gpu"),
        (Accelerator(type="old", resource_type="cloud-tpus.google.com/v3", count=8), 8, "v3"),
        (Accelerator(type="tpu", resource_count="0"), 0, None),
    ],
)
def test_accelerators_are_counted_and_named(accelerator: Accelerator, gpus: int, kind: str | None) -> None:
    found = needed(leaf_with(accelerator=accelerator))
    assert (found.resources.gpus, found.accelerator) == (gpus, kind)


def test_every_amount_may_come_from_a_parameter() -> None:
    placeholder = "{{$.inputs.parameters['%s']}}"
    leaf = leaf_with(
        resource_cpu_limit=CPU,
        resource_memory_limit=placeholder % "memory",
        accelerator=Accelerator(resource_type=placeholder % "type", resource_count=placeholder % "count"),
    )
    assert needed(leaf, cpu="1500m", memory="1Gi", type="nvidia.com/gpu", count=3) == Needs(
        resources=Resources(millicores=1500, memory_mib=1024, gpus=3),
        accelerator="gpu",
        memory_limit_mib=1024,
    )


def test_a_number_will_do_where_text_is_declared() -> None:
    assert needed(leaf_with(resource_cpu_limit=CPU), cpu=2).resources.millicores == 2000
    assert (
        needed(leaf_with(resource_cpu_limit="{{$.inputs.parameters['n']}}00m"), n=7).resources.millicores
        == 700
    )


def test_a_parameter_without_a_value_means_the_default() -> None:
    assert needed(leaf_with(resource_cpu_limit=CPU)).resources.millicores == 1000
    assert needed(leaf_with(resource_cpu_limit=CPU), cpu=None).resources.millicores == 1000


@pytest.mark.parametrize(
    ("resources", "parameters", "name"),
    [
        ({"resource_cpu_limit": CPU}, {"cpu": "many"}, "resourceCpuLimit"),
        ({"resource_cpu_request": CPU}, {"cpu": "-1"}, "resourceCpuRequest"),
        ({"resource_cpu_limit": CPU}, {"cpu": [1]}, "resourceCpuLimit"),
        ({"resource_cpu_limit": CPU}, {"cpu": "{{$.inputs.parameters['cpu']}}"}, "resourceCpuLimit"),
        ({"resource_memory_limit": CPU}, {"cpu": "1Qi"}, "resourceMemoryLimit"),
        (
            {"resource_memory_request": "1Gi", "resource_memory_limit": CPU},
            {"cpu": "x"},
            "resourceMemoryLimit",
        ),
        ({"accelerator": Accelerator(type="gpu", resource_count=CPU)}, {"cpu": "two"}, "resourceCount"),
        ({"accelerator": Accelerator(type="gpu", resource_count=CPU)}, {"cpu": "99999"}, "resourceCount"),
        ({"accelerator": Accelerator(type="gpu", resource_count=CPU)}, {"cpu": "-1"}, "resourceCount"),
    ],
)
def test_an_amount_that_is_none_is_named(resources: Any, parameters: dict[str, object], name: str) -> None:
    with pytest.raises(UnresolvedInput) as failed:
        needed(leaf_with(**resources), **parameters)
    assert (failed.value.task, failed.value.input_name) == ("loop[0].f", name)


def test_needs_are_known_before_where_no_amount_comes_from_a_parameter() -> None:
    assert needs_before(leaf_with(resource_cpu_limit="2")) == needed(leaf_with(resource_cpu_limit="2"))
    assert needs_before(leaf_of(ContainerWork(image="{{$.inputs.parameters['image']}}"))) == Needs(
        resources=Resources(millicores=1000, memory_mib=256)
    )


@pytest.mark.parametrize(
    "resources",
    [
        {"resource_cpu_limit": CPU},
        {"resource_cpu_request": CPU, "resource_memory_limit": "1Gi"},
        {"resource_memory_request": f"{CPU}Mi"},
        {"accelerator": Accelerator(type=CPU)},
        {"accelerator": Accelerator(type="gpu", resource_count=CPU)},
    ],
)
def test_needs_are_not_known_before_where_one_does(resources: Any) -> None:
    assert needs_before(leaf_with(**resources)) is None


def test_an_importer_needs_nothing() -> None:
    leaf = leaf_of(ImportWork(output="artifact", schema_title="system.Model", uri="s3://x"))
    assert needs_before(leaf) == needed(leaf) == Needs(resources=Resources(), accelerator=None)


def test_only_values_are_put_in() -> None:
    resolve = values_only(Values(parameters={"cpu": "2"}))
    assert resolve(Reference(part=Part.INPUT_PARAMETER, name="cpu")) == "2"
    assert resolve(Reference(part=Part.INPUT_PARAMETER, name="other")) == ""
    assert resolve(Reference(part=Part.INPUT_ARTIFACT, name="cpu", field="uri")) == ""
    assert resolve(Reference(part=Fact.JOB_NAME)) == ""
    texts = ResourceTexts(cpu_limit=3.0, resource_cpu_limit=CPU, accelerator=Accelerator(type=CPU, count=2))
    assert filled(texts, resolve) == ResourceTexts(
        cpu_limit=3.0, resource_cpu_limit="2", accelerator=Accelerator(type="2", count=2)
    )
