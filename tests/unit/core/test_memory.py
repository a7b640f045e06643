import pytest

from nodewise.core.estimates.memory import dataset_bytes, effective_resources
from nodewise.core.model.ids import TaskPath
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import DataKind, DatasetFacts, TaskSpec


@pytest.mark.parametrize(
    ("facts", "size"),
    [
        (DatasetFacts(), None),
        (DatasetFacts(samples=100), None),
        (DatasetFacts(samples=100, features=10), 8000),
        (DatasetFacts(samples=100, types={"float32": 3, "int8": 2}), 1400),
        (DatasetFacts(samples=100, types={"no-such-type": 1}), 800),
        (DatasetFacts(kind=DataKind.IMAGES, size_bytes=1000), 1000),
        (DatasetFacts(kind=DataKind.IMAGES, size_bytes=1000, normalised=False), 8000),
        (DatasetFacts(size_bytes=5000, measured=True), 5000),
        (DatasetFacts(samples=100, features=10, size_bytes=9000, measured=True), 9000),
        (DatasetFacts(samples=100, features=10, size_bytes=100, measured=True), 8000),
    ],
)
def test_bytes_of_a_data_set(facts: DatasetFacts, size: int | None) -> None:
    assert dataset_bytes(facts) == size


def test_the_request_is_kept_when_it_is_larger() -> None:
    spec = TaskSpec(
        path=TaskPath("t"),
        component="t",
        resources=Resources(millicores=500, memory_mib=900),
        dataset=DatasetFacts(samples=1024, features=1024),
    )
    assert effective_resources(spec) == Resources(millicores=500, memory_mib=900)


def test_part_of_a_mebibyte_is_rounded_up() -> None:
    spec = TaskSpec(
        path=TaskPath("t"), component="t", resources=Resources(), dataset=DatasetFacts(samples=1, features=1)
    )
    assert effective_resources(spec).memory_mib == 1
