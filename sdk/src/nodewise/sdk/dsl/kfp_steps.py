"""Calls of tasks and pipelines as KFP tasks: what may be said of one call."""

import math
from collections.abc import Sequence
from typing import Any, Final

from nodewise.sdk.dsl.blocks import BlockKind, Scope, check_reach
from nodewise.sdk.dsl.building import Retries, Step
from nodewise.sdk.dsl.errors import PipelineError, Place, place_of_caller
from nodewise.sdk.dsl.options import Resources
from nodewise.sdk.dsl.task import AnyTask

PLATFORM: Final = "nodewise"
_GPU: Final = "nvidia.com/gpu"


class KfpStep:
    """What holds for every step.

    `subject` is how messages name it, `scope` are the blocks around it.
    """

    def __init__(self, kfp_task: Any, subject: str, scope: Scope) -> None:
        self.kfp_task = kfp_task
        self.subject = subject
        self.scope = scope
        self.place: Place | None = place_of_caller()
        self.ignores_failure = False
        # Nodewise reuses results only where the author wants it; KFP would wherever nobody says no.
        kfp_task.set_caching_options(False)

    def add_upstream(self, step: Step) -> None:
        if not isinstance(step, KfpStep) or step is self:
            raise self.error("cannot run after itself")
        # Of a loop, all iterations are waited for.
        reach = tuple(group for group in step.scope if group.kind is not BlockKind.LOOP)
        check_reach(step.subject, reach, self.scope)
        self.kfp_task.after(step.kfp_task)

    def ignore_upstream_failure(self) -> None:
        needed = ", ".join(self._needed_from_upstream())
        if needed:
            raise self.error(
                f"cannot ignore that a task before it failed: it needs {needed} from there (give it a default)"
            )
        # Its own method fails where an optional input was not given.
        self.kfp_task._ignore_upstream_failure_tag = True
        self.ignores_failure = True

    def _needed_from_upstream(self) -> Sequence[str]:
        inputs = self.kfp_task.component_spec.inputs or {}
        return [
            repr(name)
            for name, value in self.kfp_task.inputs.items()
            if getattr(value, "task_name", None) and not inputs[name].optional
        ]

    def set_retries(self, retries: Retries) -> None:
        self.kfp_task.set_retry(
            retries.count, _duration(retries.seconds), retries.factor, _duration(retries.most_seconds)
        )

    def set_name(self, name: str) -> None:
        if not isinstance(name, str) or not name.strip():
            raise self.error(f"cannot be named {name!r}")
        self.kfp_task.set_display_name(name)

    def error(self, rule: str) -> PipelineError:
        return PipelineError(place_of_caller(), f"{self.subject} {rule}")


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else f"{math.ceil(seconds)}s"


class PipelineStep(KfpStep):
    """A pipeline as a step of another one. What only tasks have cannot be said of it."""

    def add_hint(self, *_: Any, **__: Any) -> None:
        raise self._only_tasks("where it runs")

    def set_resources(self, *_: Any, **__: Any) -> None:
        raise self._only_tasks("what resources it needs")

    def set_timeout(self, *_: Any, **__: Any) -> None:
        raise self._only_tasks("how long it may take")

    def set_cache(self, *_: Any, **__: Any) -> None:
        raise self._only_tasks("whether its results are reused")

    def _only_tasks(self, what: str) -> PipelineError:
        return self.error(f"is a pipeline: say {what} of the tasks in it")


class TaskStep(KfpStep):
    """A task as a step, with the options of its definition to begin with."""

    def __init__(self, kfp_task: Any, task: AnyTask, scope: Scope) -> None:
        super().__init__(kfp_task, f"task {task.name!r}", scope)
        self.task = task
        # KFP reads the source lines of all frames of the stack at each of these settings, to name the setting where a task
        # has no container; ours has one. It is most of the time that compiling takes.
        kfp_task._ensure_container_spec_exists = _it_has_one
        options = task.options
        if task.hints:
            kfp_task.platform_config[PLATFORM] = {**task.hints}
        if "timeout" in options:
            self.set_timeout(task.hints["timeoutSeconds"])
        self.set_cache(options.get("cache", False))
        if options.get("retries"):
            self.set_retries(Retries(count=options["retries"]))
        for name, value in options.get("env", {}).items():
            kfp_task.set_env_variable(name, str(value))
        self.set_resources(options.get("resources", Resources()))

    def add_hint(self, section: str, key: str, value: Any) -> None:
        hints = self.kfp_task.platform_config.setdefault(PLATFORM, {})
        group = hints[section] = {**hints.get(section, {})}
        old = group.get(key)
        if isinstance(old, list):
            value = [*old, *(item for item in value if item not in old)]
        if isinstance(old, dict):
            value = {**old, **value}
        group[key] = value

    def set_timeout(self, seconds: float) -> None:
        hints = self.kfp_task.platform_config.setdefault(PLATFORM, {})
        hints["timeoutSeconds"] = seconds
        self.kfp_task.platform_config["kubernetes"] = {"activeDeadlineSeconds": math.ceil(seconds)}

    def set_cache(self, wanted: bool) -> None:
        self.kfp_task.set_caching_options(bool(wanted))

    def set_resources(self, resources: Resources) -> None:
        task = self.kfp_task
        if resources.millicores is not None:
            task.set_cpu_request(f"{resources.millicores}m").set_cpu_limit(f"{resources.millicores}m")
        if resources.memory_mib is not None:
            task.set_memory_request(f"{resources.memory_mib}Mi").set_memory_limit(f"{resources.memory_mib}Mi")
        if resources.gpu:
            task.set_accelerator_type(_GPU).set_accelerator_limit(resources.gpu)


def _it_has_one() -> None:
    """A task of ours always has a container."""
