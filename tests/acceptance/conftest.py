"""One stack for the tests of this folder that break nothing: an idle one beside all other tests would slow them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nodewise.sdk import Client
from tests.support import mlopx_scripts
from tests.support.container_runtimes import FAKE, left_in
from tests.support.package_index import QUIET
from tests.support.stack import RunningStack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The whole stack with four agents, shared by the tests of this folder and ended with the last of them; mark them `stack`.

    Its agents have a container runtime, a fake one that runs commands on this machine, and a pip that knows no index. mlopx may submit without a key.
    A test that kills processes or fills queues starts a `RunningStack` of its own.
    """
    folder = tmp_path_factory.mktemp("stack")
    (folder / "containers").mkdir()
    env = {
        "NODEWISE_CONTAINER_RUNTIME": str(FAKE),
        "FAKE_RUNTIME_DIR": str(folder / "containers"),
        "NODEWISE_MLOPX_TEAM": "default",
        **QUIET,
    }
    running = RunningStack(home=folder / "home", placers=2, env=env)
    try:
        yield running.start()
    finally:
        running.stop()
    assert running.leftovers() == []
    assert left_in(folder / "containers") == []


@pytest.fixture
def line(stack: RunningStack, tmp_path: Path) -> None:
    """The data set that scripts of mlopx look for on their volume, as its owner registers it: the folder."""
    folder = tmp_path / "line"
    folder.mkdir()
    (folder / "points.csv").write_text(mlopx_scripts.points())
    with Client(stack.api_url) as client:
        client.put_dataset("line", folder, kind="tabular")
