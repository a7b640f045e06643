"""`@container_task`: a program in an image as a step of a pipeline."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final, TypedDict, Unpack

from nodewise.core.model.task import TaskKind
from nodewise.sdk.dsl.errors import PipelineError
from nodewise.sdk.dsl.options import DatasetHint, ModelHint, Resources, TaskOptions
from nodewise.sdk.dsl.signature import Role
from nodewise.sdk.dsl.task import Task, plain_function


class ContainerOptions(TypedDict, total=False):
    """Options of `@container_task`, beside its image; as for `@task`."""

    kind: TaskKind | str
    resources: Resources
    dataset: DatasetHint | Mapping[str, Any] | str
    model: ModelHint | Mapping[str, Any] | str
    task_class: str
    retries: int
    timeout: timedelta | float | str
    cache: bool
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a container runs: `command` instead of the image's entry point (empty: that one), and its `args`."""

    command: Sequence[Any] = ()
    args: Sequence[Any] = ()


_OPTIONS: Final = ("image", *ContainerOptions.__annotations__)


class ContainerTask(Task[..., Any]):
    """A function that says which command runs in an image.

    Called as plain Python it is the function. Called inside a pipeline it adds a step, as a `Task` does.
    """

    role: ClassVar[Role] = Role.CONTAINER
    known_options: ClassVar[tuple[str, ...]] = _OPTIONS

    def __init__(self, function: Callable[..., Any], options: TaskOptions) -> None:
        super().__init__(function, options)
        image = options.get("image")
        if not isinstance(image, str) or not image.strip():
            raise PipelineError(self.place, f"task {self.name!r}: image must be text, is {image!r}")
        if self.signature.returned:
            raise PipelineError(self.place, f"task {self.name!r} writes what it gives: use Out[...]")

    def command(self, given: Mapping[str, Any]) -> Command:
        """What it runs, with these inputs and outputs.

        Raises:
            PipelineError: the function raises, or returns no command.
        """
        try:
            said = self.function(**given)
        except Exception as error:
            raise PipelineError(self.place, f"task {self.name!r}: {type(error).__name__}: {error}") from error
        if isinstance(said, Command):
            return said
        if isinstance(said, list | tuple) and said:
            return Command(command=said)
        raise PipelineError(
            self.place,
            f"task {self.name!r} must return its command: a list of words, or Command(command=[...], args=[...])",
        )


def container_task(
    *, image: str, **options: Unpack[ContainerOptions]
) -> Callable[[Callable[..., Any]], ContainerTask]:
    """Make a task of a program in an image. The function is called when the pipeline is compiled and returns the command.

        @container_task(image="alpine:3.20")
        def count(table: In[Dataset], word: str, rows: Out[int]):
            return ["sh", "-c", 'grep -c "$0" "$1" > "$2"', word, table.path, rows.path]

    Parameters are as for `@task`; a value that the program gives is an `Out[int]` (or str, float, bool, list, dict), which it
    writes to that path. The words may be KFP's own placeholders (`dsl.ConcatPlaceholder`, `dsl.IfPresentPlaceholder`), too.

    Args:
        image: the container's image.
        options: as for `@task`: kind, resources, retries, timeout, cache, env, ...

    Raises:
        PipelineError: the signature or an option is wrong; names the file and the line.
    """
    both: Any = {"image": image, **options}
    return lambda decorated: ContainerTask(plain_function(decorated, "@container_task"), both)
