"""The fake container runtime, and where NODEWISE_TEST_CONTAINER_RUNTIME is set a real one, are what agents expect."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nodewise.agent.runtime import ContainerRuntime, RuntimeFailed
from nodewise.agent.supervision import StopCause
from tests.contracts.container_runtime_contract import HOLD, Bench, ContainerRuntimeContract
from tests.support.container_runtimes import FAKE, REAL, fake_runtime
from tests.support.waiting import wait_until


class TestTheFake(ContainerRuntimeContract):
    @pytest.fixture
    def command(self, tmp_path: Path) -> Iterator[str]:
        with fake_runtime(tmp_path / "fake"):
            yield str(FAKE)

    def test_an_engine_that_does_not_answer_is_told(self, command: str, tmp_path: Path) -> None:
        down = tmp_path / "fake" / "down"
        down.touch()
        with pytest.raises(RuntimeFailed, match=r"version` fails: .*daemon running\?"):
            ContainerRuntime.connect(command)

    def test_one_that_was_made_and_never_ran_did_not_succeed(self, bench: Bench, tmp_path: Path) -> None:
        """Its exit code is 0 for an engine."""
        (tmp_path / "fake" / "slow-start").touch()
        container = bench.container(*HOLD)
        process = bench.start(container)
        wait_until(lambda: bench.runtime.state(container.name) is not None, 30, "the container")
        process.stop(StopCause.CANCELED, grace=0)
        end = process.wait()
        bench.containers.forget(container.name)
        assert (end.stopped, end.lost) == (StopCause.CANCELED, False)
        assert end.exit_code != 0
        assert bench.runtime.state(container.name) is None


if REAL is not None:

    class TestARealOne(ContainerRuntimeContract):
        @pytest.fixture
        def command(self) -> str:
            assert REAL is not None
            return REAL
else:

    @pytest.mark.skip(reason="NODEWISE_TEST_CONTAINER_RUNTIME is not set: nothing was run in real containers")
    def test_a_real_one() -> None:
        """The whole contract, with the runtime that is named there; NODEWISE_TEST_CONTAINER_IMAGE has `sh` and `python3`."""


def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(RuntimeFailed, match="there is no program 'no-such-runtime'"):
        ContainerRuntime.connect("no-such-runtime")


def test_a_program_that_fails_is_told() -> None:
    with pytest.raises(RuntimeFailed, match="`false version` fails: it says nothing"):
        ContainerRuntime.connect("false")
