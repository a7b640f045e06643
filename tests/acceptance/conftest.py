"""One stack for the tests of this folder that break nothing: an idle one beside all other tests would slow them."""

from collections.abc import Iterator

import pytest

from tests.support.stack import RunningStack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The whole stack with four agents, shared by the tests of this folder and ended with the last of them; mark them `stack`.

    A test that kills processes or fills queues starts a `RunningStack` of its own.
    """
    running = RunningStack(home=tmp_path_factory.mktemp("stack") / "home", placers=2)
    try:
        yield running.start()
    finally:
        running.stop()
    assert running.leftovers() == []
