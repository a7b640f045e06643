"""The container runtimes that tests run against: a fake one, and a real one where `NODEWISE_TEST_CONTAINER_RUNTIME` names it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

REAL = os.environ.get("NODEWISE_TEST_CONTAINER_RUNTIME")
IMAGE = os.environ.get("NODEWISE_TEST_CONTAINER_IMAGE", "python:3.11-slim")
"""An image with `sh` and `python3`; the fake one has it, and so must the real one."""
NO_IMAGE = "registry.invalid/none:1"
FAKE = Path(__file__).with_name("fake_container_runtime.py")


@contextmanager
def fake_runtime(folder: Path) -> Iterator[Mapping[str, str]]:
    """The environment in which `FAKE` has that folder for its state, set here too; checks that no container is left."""
    folder.mkdir()
    given = {"FAKE_RUNTIME_DIR": str(folder)}
    before = os.environ.copy()
    os.environ.update(given)
    try:
        yield given
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert left_in(folder) == []


def left_in(folder: Path) -> list[str]:
    """The containers that the fake runtime knows."""
    return sorted(path.stem for path in folder.glob("containers/*.json"))
