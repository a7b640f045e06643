"""What an attempt's process is started in: the agent's own Python, an environment of its packages, or a container."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

from nodewise.agent.containers import Containers, container_name
from nodewise.agent.folder import AttemptFolder
from nodewise.agent.options import usable_cores
from nodewise.agent.packages import build, in_environment, pip_environment, pip_settings, python_of
from nodewise.agent.processes import MARK
from nodewise.agent.runtime import Container, last_line
from nodewise.agent.staging import Staged, environment
from nodewise.agent.supervision import Limits, ProcessEnd, StopCause, TaskProcess, begin
from nodewise.agent.venvs import Builder, NotBuilt, PackageSet
from nodewise.agent.workshop import Workshop
from nodewise.core.errors import NodewiseError
from nodewise.core.model.component import ContainerWork
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.job import Job

Start = Callable[[], TaskProcess]
"""Starts the attempt's process."""

_SIMULATED: Final = "simulated"


class NotReady(NodewiseError):
    """What the task brings along cannot be had. That is its failure, not the node's."""

    def __init__(self, reason: ReasonCode, text: str) -> None:
        self.reason = reason
        super().__init__(text)


class Steps(Protocol):
    """How work before the start is done, so that a stop of the attempt ends it at once."""

    def run(self, words: Sequence[str], *, env: Mapping[str, str], seconds: float) -> tuple[ProcessEnd, str]:
        """Run a command, its words into the attempt's log; how it ended, and what it said."""

    def pause(self) -> None:
        """Wait a moment."""

    def note(self, text: str) -> None:
        """Put text into the attempt's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One that is staged."""

    job: Job
    folder: AttemptFolder
    staged: Staged
    limits: Limits


def workplace(attempt: Attempt, workshop: Workshop, steps: Steps) -> AbstractContextManager[Start]:
    """Get ready what the attempt's process is started in; that stays until the block is left.

    Raises:
        NotReady: Its packages or its image cannot be had.
        NodewiseError, OSError: The node's own trouble.
    """
    work = attempt.job.work
    if isinstance(work, ContainerWork):
        return _in_container(attempt, workshop, steps)
    if work.packages:
        return _in_venv(attempt, workshop, steps)
    return nullcontext(lambda: _in_spare(attempt, workshop) or _in_agents_python(attempt))


def _in_spare(attempt: Attempt, workshop: Workshop) -> TaskProcess | None:
    """In a runner that waits already, if there is one that would not differ from a new one."""
    folder, staged = attempt.folder, attempt.staged
    if staged.launched.environment:
        # Some variables are read where a process starts only (Python's, the linker's, the C library's).
        return None
    spare = workshop.spares.take()
    if spare is None:
        return None
    if not spare.give(folder.task, env=staged.environment, cwd=folder.work, log=folder.log):
        spare.end()
        return None
    return TaskProcess(spare.popen, marks=[spare.mark, str(folder.root)], limits=attempt.limits)


def _in_agents_python(attempt: Attempt) -> TaskProcess:
    return _python(sys.executable, attempt, attempt.staged.environment)


def _python(python: str, attempt: Attempt, env: Mapping[str, str]) -> TaskProcess:
    words = [python, "-m", "nodewise.agent.runner", str(attempt.folder.task)]
    popen = begin(words, env=env, cwd=attempt.folder.work, log=attempt.folder.log)
    return TaskProcess(popen, marks=[str(attempt.folder.root)], limits=attempt.limits)


@contextmanager
def _in_venv(attempt: Attempt, workshop: Workshop, steps: Steps) -> Iterator[Start]:
    job, options = attempt.job, workshop.options
    given = pip_settings(attempt.staged.launched.environment)
    env = {**pip_environment(environment(job, attempt.folder, {}, os.environ), os.environ), **given}
    wanted = PackageSet(
        packages=attempt.staged.packages, options=attempt.staged.pip_options, settings=tuple(sorted(given.items()))
    )  # fmt: skip

    def run(words: Sequence[str]) -> tuple[ProcessEnd, str]:
        return steps.run(words, env=env, seconds=options.venv_seconds)

    builder = Builder(build=lambda root: build(root, wanted, run), pause=steps.pause)
    with ExitStack() as stack:
        try:
            root = stack.enter_context(workshop.venvs.using(wanted, builder))
        except NotBuilt as error:
            if error.elsewhere:
                steps.note(error.output)
            raise NotReady(ReasonCode.ENVIRONMENT_NOT_BUILT, str(error)) from error
        inside = in_environment(root, attempt.staged.environment)
        yield lambda: _python(str(python_of(root)), attempt, inside)


@contextmanager
def _in_container(attempt: Attempt, workshop: Workshop, steps: Steps) -> Iterator[Start]:
    containers = workshop.containers
    if containers is None:
        raise NodewiseError("the task brings its own image, and this node has no container runtime")
    container = _container(attempt, workshop)
    env = {**os.environ, MARK: str(attempt.folder.root)}
    _fetch(container.image, containers, steps, env=env, seconds=workshop.options.pull_seconds)
    try:
        yield lambda: containers.run(
            container, env=env, cwd=attempt.folder.work, log=attempt.folder.log, limits=attempt.limits
        )
    finally:
        containers.forget(container.name)


def _fetch(
    image: str, containers: Containers, steps: Steps, *, env: Mapping[str, str], seconds: float
) -> None:
    if not image or image.startswith("-") or any(letter.isspace() for letter in image):
        # As a word of the command line it would be an option of the runtime's.
        raise NotReady(ReasonCode.IMAGE_UNAVAILABLE, f"no name of an image: {image[:100]!r}")
    runtime = containers.runtime
    if runtime.has_image(image):
        return
    end, said = steps.run(runtime.pull_words(image), env=env, seconds=seconds)
    if end.stopped is StopCause.TIMEOUT:
        raise NotReady(ReasonCode.IMAGE_UNAVAILABLE, f"fetching image {image} took longer than {seconds:g} s")
    if end.exit_code != 0:
        if not runtime.answers():
            raise NodewiseError(f"the container runtime does not answer: {last_line(said)}")
        raise NotReady(ReasonCode.IMAGE_UNAVAILABLE, f"image {image}: {last_line(said)}")


def _container(attempt: Attempt, workshop: Workshop) -> Container:
    job, folder, launched, options = attempt.job, attempt.folder, attempt.staged.launched, workshop.options
    return Container(
        name=container_name(job.key, folder.root),
        image=launched.image,
        command=launched.command,
        args=launched.args,
        environment=attempt.staged.environment,
        folders=(folder.root,),
        labels={
            "nodewise.run": job.key.run_id,
            "nodewise.task": job.key.path,
            "nodewise.attempt": str(job.key.attempt),
            "nodewise.node": options.node.name,
        },
        memory_mib=attempt.limits.memory_mib,
        millicores=job.resources.millicores,
        cores=None if options.cores == usable_cores() else options.cores,
        gpus=job.resources.gpus > 0 and options.node.labels.get(_SIMULATED) != "true",
    )
