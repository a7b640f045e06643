"""Lightweight Python components: the source that KFP's compiler wrote into a container's command.

The command is shell text that we never run: `[sh, -c, "<pip install ...>", sh, -ec, "... kfp.dsl.executor_main
--component_module_path ...", "<source>"]`, and `--function_to_execute NAME` among the arguments. Nodes carry
kfp, so the lines that install it are dropped; any other package is refused, as nodes install nothing yet.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.ir.guard import at
from nodewise.core.model.pipeline import PythonComponent

_EXECUTOR: Final = re.compile(r"\bkfp\.(?:dsl|components)\.executor_main\b")
_PIP: Final = "pip install "
_LONGEST_INSTALL: Final = 20_000
_ENDS_INSTALL: Final = re.compile(r"&&|\n")
_TAKES_VALUE: Final = frozenset({"--index-url", "--extra-index-url", "--trusted-host", "-i"})
_NAME_OF_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9._-]+")
_ON_EVERY_NODE: Final = frozenset({"kfp", "typing-extensions"})
_FUNCTION_FLAG: Final = "--function_to_execute"


def read_python(
    command: Sequence[str], args: Sequence[str], *, environment: Mapping[str, str], path: str
) -> PythonComponent:
    """The code in a container's command.

    Args:
        command: the container's command.
        args: the container's arguments.
        environment: variables for the process.
        path: of the container, in the IR.

    Raises:
        UnsupportedFeature: a container with a program of its own, or with packages to install.
        InvalidPipeline: KFP's form, but without a function's name.
    """
    if len(command) < 2 or not _EXECUTOR.search(command[-2]) or not command[-1].strip():
        raise UnsupportedFeature(
            at(path, "command"),
            "a container with its own program",
            "write the step as a lightweight Python component",
        )
    packages = sorted(set(_packages(command[:-1], at(path, "command"))))
    if packages:
        raise UnsupportedFeature(
            at(path, "command"),
            f"installing packages ({', '.join(packages)[:200]})",
            "install them on the nodes and leave packages_to_install out",
        )
    return PythonComponent(source=command[-1], function=_function(args, path), environment=environment)


def _function(args: Sequence[str], path: str) -> str:
    after = (following for flag, following in pairwise(args) if flag == _FUNCTION_FLAG)
    name = next(after, "")
    if not name.isidentifier():
        raise InvalidPipeline(at(path, "args"), f"{_FUNCTION_FLAG} must name a Python function")
    return name


def _packages(command: Sequence[str], path: str) -> Iterator[str]:
    for script in command:
        for part in script.split(_PIP)[1:]:
            yield from _foreign_packages(_words(_ENDS_INSTALL.split(part, maxsplit=1)[0], path))


def _words(text: str, path: str) -> list[str]:
    if len(text) > _LONGEST_INSTALL:
        raise InvalidPipeline(path, f"a pip install line has more than {_LONGEST_INSTALL} characters")
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidPipeline(path, f"a pip install line cannot be read: {error}") from error


def _foreign_packages(words: Sequence[str]) -> Iterator[str]:
    skip = False
    for word in words:
        if skip or word.startswith("-"):
            skip = word in _TAKES_VALUE
            continue
        match = _NAME_OF_REQUIREMENT.match(word)
        if match is None or match.group().lower().replace("_", "-") not in _ON_EVERY_NODE:
            yield word[:80]
