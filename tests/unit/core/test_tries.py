"""Which tasks belong to a try of a sub-pipeline that was followed by another one."""

import pytest

from nodewise.core.ir.locate import tried_again
from nodewise.core.model.ids import TaskPath


@pytest.mark.parametrize(
    ("paths", "overcome"),
    [
        ("add inner.add inner.b", ""),
        ("inner.add inner.b inner~2.add", "inner.add inner.b"),
        ("inner.add inner~2.add inner~3.add", "inner.add inner~2.add"),
        ("loop[0].inner.add loop[1].inner.add loop[1].inner~2.add", "loop[1].inner.add"),
        ("outer.inner.a outer~2.inner.a outer~2.inner~2.a", "outer.inner.a outer~2.inner.a"),
        ("outer.inner.a outer.inner~2.a", "outer.inner.a"),
        ("loop[3].a loop[3]~2.a loop[30].a", "loop[3].a"),
    ],
)
def test_tasks_of_overcome_tries_are_told_from_the_others(paths: str, overcome: str) -> None:
    assert tried_again([TaskPath(path) for path in paths.split()]) == set(overcome.split())
