"""Components with packages to install, on a real agent with real pip and an index on loopback."""

# ruff: noqa: PLC0415 - what a component imports, it imports itself

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from nodewise.agent.processes import marked_processes
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport
from nodewise.core.model.decision import ReasonCode
from tests.support.agent_runs import AgentRun
from tests.support.agents import AgentProcess
from tests.support.package_index import QUIET, PackageIndex, package_index
from tests.support.waiting import wait_until

SLOW = 120.0


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    with package_index(tmp_path / "index") as index:
        index.add("nwshape", "1.0", "SIDES = 3\n", scripts={"nwshape-say": "nwshape:say"})
        index.add(
            "nwshape",
            "2.0",
            "SIDES = 4\ndef say():\n    print('said by 2.0')\n",
            scripts={"nwshape-say": "nwshape:say"},
        )
        yield index


def uses(index: PackageIndex, *packages: str, **options: Any) -> Any:
    """A component that says which version it got, from where, and whether it can import what the node has."""

    def look() -> dict:
        import json
        import sys

        import kfp  # noqa: F401 - of the node
        import nwshape  # type: ignore[import-not-found]

        return {
            "version": nwshape.VERSION,
            "file": nwshape.__file__,
            "prefix": sys.prefix,
            "path": json.__file__,
        }

    return dsl.component(
        look, base_image="python:3.11", packages_to_install=list(packages), pip_index_urls=[index.url],
        pip_trusted_hosts=["127.0.0.1"], **options,
    )  # fmt: skip


def alone(component: Any) -> Any:
    @dsl.pipeline(name="alone")
    def pipeline() -> None:
        component()

    return pipeline


def log_of(agent: AgentProcess, report: AttemptReport) -> str:
    assert report.log_key is not None
    return (agent.store.read_key(report.log_key) or b"").decode()


def test_two_sets_of_packages_side_by_side_in_one_run(
    stopped_agent: AgentProcess, index: PackageIndex
) -> None:
    stopped_agent.start(**QUIET)
    one, two = uses(index, "nwshape==1.0"), uses(index, "nwshape==2.0")

    @dsl.pipeline(name="both")
    def both() -> None:
        for component in (one, two, two, one):
            component().set_caching_options(False)

    run = AgentRun(stopped_agent, both)
    reports = run.run(SLOW)

    assert {report.state for report in reports.values()} == {AttemptState.SUCCEEDED}
    found = [run.outputs(path)["Output"] for path in ("look", "look-2", "look-3", "look-4")]
    assert [output["version"] for output in found] == ["1.0", "2.0", "2.0", "1.0"]  # type: ignore[index]
    assert len({output["prefix"] for output in found}) == 2  # type: ignore[index]
    assert sorted(index.downloads) == ["nwshape-1.0-py3-none-any.whl", "nwshape-2.0-py3-none-any.whl"]
    assert "Successfully installed nwshape-" in "".join(
        log_of(stopped_agent, one) for one in reports.values()
    )


def test_an_environment_outlives_its_agent_and_other_agents_share_it(
    stopped_agent: AgentProcess, index: PackageIndex, tmp_path: Path, redis_url: str, store_url: str
) -> None:
    shared = str(tmp_path / "shared")
    pipeline = alone(uses(index, "nwshape==1.0"))
    stopped_agent.start("--venvs-dir", shared, **QUIET)
    first = AgentRun(stopped_agent, pipeline)
    first.run(SLOW)
    stopped_agent.kill()
    stopped_agent.start(NODEWISE_VENVS_DIR=shared, **QUIET)
    second = AgentRun(stopped_agent, pipeline)
    second.run(SLOW)
    stopped_agent.terminate()
    other = AgentProcess(redis_url, store_url, tmp_path / "other")
    try:
        other.start("--venvs-dir", shared, **QUIET)
        third = AgentRun(other, pipeline)
        third.run(SLOW)
    finally:
        other.close()
    assert first.outputs("look") == second.outputs("look") == third.outputs("look")
    assert len(index.downloads) == 1


def test_programs_of_the_packages_are_found(stopped_agent: AgentProcess, index: PackageIndex) -> None:
    stopped_agent.start(**QUIET)

    def call() -> str:
        import subprocess

        return subprocess.run(["nwshape-say"], check=True, capture_output=True, text=True).stdout

    component = dsl.component(call, base_image="python:3.11", packages_to_install=["nwshape>=2"])

    @dsl.pipeline(name="calls")
    def calls() -> None:
        component().set_env_variable("PIP_INDEX_URL", index.url)

    run = AgentRun(stopped_agent, calls)
    run.run(SLOW)
    assert run.outputs("call") == {"Output": "said by 2.0\n"}


def test_what_cannot_be_installed_fails_the_task_with_pips_last_words(
    stopped_agent: AgentProcess, index: PackageIndex
) -> None:
    stopped_agent.start(**QUIET)
    run = AgentRun(stopped_agent, alone(uses(index, "nwshape==9.9")))
    report = run.run(SLOW)["look"]
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.ENVIRONMENT_NOT_BUILT)
    assert (report.message or "").startswith("its packages could not be installed: ")
    assert (report.message or "").endswith("No matching distribution found for nwshape==9.9")
    assert report.started_at is None
    log = log_of(stopped_agent, report)
    assert f"Looking in indexes: {index.url}" in log
    assert "from versions: 1.0, 2.0" in log

    index.add("nwshape", "9.9", "SIDES = 99\n")
    again = AgentRun(stopped_agent, alone(uses(index, "nwshape==9.9")))
    again.run(SLOW)
    assert again.outputs("look")["Output"]["version"] == "9.9"  # type: ignore[index]


def test_an_installation_that_takes_too_long_fails_the_task(
    stopped_agent: AgentProcess, index: PackageIndex
) -> None:
    index.held.set()
    stopped_agent.start(NODEWISE_VENV_SECONDS="6", **QUIET)
    report = AgentRun(stopped_agent, alone(uses(index, "nwshape==1.0"))).run(SLOW)["look"]
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.ENVIRONMENT_NOT_BUILT)
    assert report.message == "installing its packages took longer than the node allows"


def test_a_cancel_ends_the_installation_and_who_waits_for_it_goes_on(
    stopped_agent: AgentProcess, index: PackageIndex
) -> None:
    index.held.set()
    stopped_agent.start(**QUIET)
    pipeline = alone(uses(index, "nwshape==1.0"))
    first, second = AgentRun(stopped_agent, pipeline), AgentRun(stopped_agent, pipeline)
    stopped_agent.submit(*first.step().values())
    assert index.asked.wait(SLOW)
    job = second.step()["look"]
    stopped_agent.submit(job)
    placed = stopped_agent.report_of(first.key("look"), lambda report: True)
    assert placed.state is AttemptState.PLACED

    index.held.clear()
    stopped_agent.cancel(first.key("look"))

    canceled = stopped_agent.end_of(first.key("look"), SLOW)
    assert (canceled.state, canceled.reason) == (AttemptState.CANCELED, ReasonCode.RUN_CANCELED)
    assert canceled.message == "canceled before it started"
    assert stopped_agent.end_of(job.key, SLOW).state is AttemptState.SUCCEEDED
    folder = stopped_agent.work_dir / "attempts" / first.id / "look" / "1"
    assert marked_processes(str(folder)) == []


def test_an_agent_that_died_while_it_installed_begins_anew(
    stopped_agent: AgentProcess, index: PackageIndex
) -> None:
    index.held.set()
    stopped_agent.start(**QUIET)
    pipeline = alone(uses(index, "nwshape==1.0"))
    lost = AgentRun(stopped_agent, pipeline)
    stopped_agent.submit(*lost.step().values())
    assert index.asked.wait(SLOW)
    folder = stopped_agent.work_dir / "attempts" / lost.id / "look" / "1"
    assert wait_until(lambda: marked_processes(str(folder)), 30, "pip")
    stopped_agent.kill()

    index.held.clear()
    stopped_agent.start(**QUIET)

    wait_until(lambda: not marked_processes(str(folder)), SLOW, "the end of the old pip")
    again = AgentRun(stopped_agent, pipeline)
    assert again.run(SLOW)["look"].state is AttemptState.SUCCEEDED
    (environment,) = (stopped_agent.work_dir / "venvs").iterdir()
    ready = json.loads((environment / "ready.json").read_text())
    wait_until(
        lambda: [path.name for path in environment.iterdir() if path.is_dir()] == [ready["build"]],
        10,
        "one build",
    )
