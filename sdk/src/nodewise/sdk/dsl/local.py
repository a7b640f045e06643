"""Running a pipeline right here, one task after the other, in this process: for tests of a pipeline's wiring."""

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodewise.sdk.dsl.handle import TaskHandle, outputs_for_handles
from nodewise.sdk.dsl.signature import Input, Output

if TYPE_CHECKING:
    from nodewise.sdk.dsl.building import Step
    from nodewise.sdk.dsl.options import Resources
    from nodewise.sdk.dsl.task import Task


class LocalRun:
    """What a pipeline left that ran in this process. Its files live as long as this object."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nodewise-"))
        self.outputs: dict[str, Mapping[str, Any]] = {}
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def __getitem__(self, task: str) -> Mapping[str, Any]:
        """The outputs of a task by its name (`train`, a second call is `train-2`)."""
        return self.outputs[task]


@dataclass(frozen=True)
class _LocalStep:
    """Hints mean nothing here: there is one node, this process."""

    ignored: list[Any] = field(default_factory=list)

    def add_hint(self, section: str, key: str, value: Any) -> None:
        self.ignored.append((section, key, value))

    def set_resources(self, resources: "Resources") -> None:
        self.ignored.append(resources)

    def add_upstream(self, step: "Step") -> None:
        self.ignored.append(step)


class LocalBuilder:
    """Runs each task where it is called."""

    def __init__(self) -> None:
        self.run = LocalRun()

    def call(self, task: "Task[..., Any]", arguments: Mapping[str, Any]) -> TaskHandle:
        name = self._unique(task.name.replace("_", "-"))
        given = {key: outputs_for_handles(value) for key, value in arguments.items()}
        written = self._written(task, name)
        defaults = {
            item.name: item.default
            for item in task.signature.arguments
            if isinstance(item, Input) and item.optional and item.name not in given
        }
        result = task.function(**{**defaults, **given, **written})
        outputs = {**written, **_returned(task, result)}
        self.run.outputs[name] = outputs
        return TaskHandle(name, _LocalStep(), outputs)

    def _unique(self, name: str) -> str:
        taken = self.run.outputs
        numbers = range(2, len(taken) + 3)
        return next(free for free in [name, *(f"{name}-{number}" for number in numbers)] if free not in taken)

    def _written(self, task: "Task[..., Any]", name: str) -> dict[str, Any]:
        folder = self.run.folder / name
        folder.mkdir()
        outputs = [item for item in task.signature.arguments if isinstance(item, Output)]
        return {item.name: item.type(name=item.name, uri=str(folder / item.name)) for item in outputs}


def _returned(task: "Task[..., Any]", result: Any) -> dict[str, Any]:
    names = [output.name for output in task.signature.returned]
    if len(names) == 1 and names[0] == "Output":
        return {"Output": result}
    return dict(zip(names, result or (), strict=False))
