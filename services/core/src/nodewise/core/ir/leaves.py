"""Executors, read from the IR: lightweight Python, containers with their own program, and importers."""

import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.ir.amounts import Quantities, resource_texts
from nodewise.core.ir.guard import at
from nodewise.core.ir.parameters import whole_numbers
from nodewise.core.ir.placeholders import Known, Part, check, has_placeholder, read_argument
from nodewise.core.ir.wire import plain
from nodewise.core.model.artifact import leads_nowhere
from nodewise.core.model.component import (
    Accelerator,
    ContainerWork,
    ImportWork,
    PythonWork,
    ResourceTexts,
    Signature,
    Work,
)

_EXECUTOR: Final = re.compile(r"\bkfp\.(?:dsl|components)\.executor_main\b")
_FUNCTION_FLAG: Final = "--function_to_execute"
_PIP: Final = "pip install "
_ENDS_INSTALL: Final = re.compile(r"&&|\n")
_LONGEST_INSTALL: Final = 20_000
_TRUSTED: Final = "--trusted-host"
_TAKES_VALUE: Final = frozenset({"--index-url", "--extra-index-url", _TRUSTED, "-i", "--find-links", "-f"})
_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ON_EVERY_NODE: Final = frozenset({"kfp", "typing-extensions"})
_CLUSTER_ONLY: Final = frozenset({"argostub/createpvc", "argostub/deletepvc"})


def read_work(executor: Any, signature: Signature, *, channels: frozenset[str], path: str) -> Work:
    """Read an `ExecutorSpec`.

    Args:
        executor: the message.
        signature: of the component that it belongs to.
        channels: inputs that tasks give it beyond the signature, which only placeholders refer to.
        path: of the executor, in the IR.

    Raises:
        UnsupportedFeature: a resolver, a custom job, a volume of Kubernetes.
        InvalidPipeline: anything in it that is wrong, placeholders too.
    """
    kind = executor.WhichOneof("spec")
    if kind == "container":
        return _container(executor.container, _known(signature, channels), at(path, "container"))
    if kind == "importer":
        return _importer(executor.importer, signature, channels, path=at(path, "importer"))
    if kind is None:
        raise InvalidPipeline(path, "has neither a container nor an importer")
    field = executor.DESCRIPTOR.fields_by_name[kind].camelcase_name
    raise UnsupportedFeature(
        at(path, field), f"an executor of kind {field}", "write it as a component that does the work itself"
    )


def _known(signature: Signature, channels: frozenset[str]) -> Known:
    return Known(
        input_parameters=frozenset(signature.input_parameters) | channels,
        input_artifacts=frozenset(signature.input_artifacts),
        output_parameters=frozenset(signature.output_parameters),
        output_artifacts=frozenset(signature.output_artifacts),
    )


def _container(container: Any, known: Known, path: str) -> PythonWork | ContainerWork:
    if container.image in _CLUSTER_ONLY:
        raise UnsupportedFeature(at(path, "image"), "a volume of Kubernetes", "use artifacts instead")
    values_only = Known(input_parameters=known.input_parameters, parts=frozenset({Part.INPUT_PARAMETER}))
    check(container.image, values_only, path=at(path, "image"))
    environment = _environment(container, values_only, at(path, "env"))
    resources = _resources(container.resources, values_only, at(path, "resources"))
    if _is_python(container.command):
        packages, options = _packages(container.command[:-1], at(path, "command"))
        return PythonWork(
            source=container.command[-1],
            function=_function(container.args, path),
            packages=packages,
            pip_options=options,
            image=container.image,
            environment=environment,
            resources=resources,
        )
    return ContainerWork(
        image=container.image,
        command=_arguments(container.command, known, at(path, "command")),
        args=_arguments(container.args, known, at(path, "args")),
        environment=environment,
        resources=resources,
    )


def _arguments(words: Sequence[str], known: Known, path: str) -> tuple[Any, ...]:
    return tuple(read_argument(word, known, path=at(path, index)) for index, word in enumerate(words))


def _environment(container: Any, known: Known, path: str) -> dict[str, str]:
    environment = {}
    for index, variable in enumerate(container.env):
        if not variable.name or "=" in variable.name:
            raise InvalidPipeline(at(at(path, index), "name"), "must be a variable's name")
        check(variable.value, known, path=at(at(path, index), "value"))
        environment[variable.name] = variable.value
    return environment


def _resources(message: Any, known: Known, path: str) -> ResourceTexts:
    texts = ResourceTexts(
        cpu_limit=message.cpu_limit,
        memory_limit=message.memory_limit,
        cpu_request=message.cpu_request,
        memory_request=message.memory_request,
        resource_cpu_limit=message.resource_cpu_limit,
        resource_memory_limit=message.resource_memory_limit,
        resource_cpu_request=message.resource_cpu_request,
        resource_memory_request=message.resource_memory_request,
        accelerator=Accelerator(
            type=message.accelerator.type,
            count=message.accelerator.count,
            resource_type=message.accelerator.resource_type,
            resource_count=message.accelerator.resource_count,
        ),
    )
    written = list(resource_texts(texts))
    if not any(has_placeholder(text) for text in written):
        quantities = Quantities(texts, path)
        quantities.booked()
        quantities.memory_limit_mib()
    for text in written:
        check(text, known, path=path)
    return texts


def _is_python(command: Sequence[str]) -> bool:
    return len(command) >= 2 and bool(_EXECUTOR.search(command[-2])) and bool(command[-1].strip())


def _function(args: Sequence[str], path: str) -> str:
    after = (following for flag, following in pairwise(args) if flag == _FUNCTION_FLAG)
    name = next(after, "")
    if not name.isidentifier():
        raise InvalidPipeline(at(path, "args"), f"{_FUNCTION_FLAG} must name a Python function")
    return name


def _packages(command: Sequence[str], path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What KFP's own pip lines would install, but for what every node has; and the options that name where from."""
    packages: set[str] = set()
    options: list[str] = []
    for script in command:
        for part in script.split(_PIP)[1:]:
            words = _words(_ENDS_INSTALL.split(part, maxsplit=1)[0], path)
            _sort_words(words, packages, options)
    return tuple(sorted(packages)), tuple(dict.fromkeys(options))


def _sort_words(words: Sequence[str], packages: set[str], options: list[str]) -> None:
    flag = ""
    for word in words:
        if flag:
            options.append(f"{flag}={_host(word) if flag == _TRUSTED else word}")
            flag = ""
        elif word in _TAKES_VALUE:
            flag = word
        elif not word.startswith("-") and not _on_every_node(word):
            packages.add(word)


def _host(text: str) -> str:
    """KFP trusts the whole URL of an index; pip wants a host, and fails where the URL has a port."""
    return text.partition("://")[2].partition("/")[0].rpartition("@")[2] if "://" in text else text


def _words(text: str, path: str) -> list[str]:
    if len(text) > _LONGEST_INSTALL:
        raise InvalidPipeline(path, f"a pip install line has more than {_LONGEST_INSTALL} characters")
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidPipeline(path, f"a pip install line cannot be read: {error}") from error


def _on_every_node(requirement: str) -> bool:
    match = _REQUIREMENT.match(requirement)
    return match is not None and match.group().lower().replace("_", "-") in _ON_EVERY_NODE


def _importer(message: Any, signature: Signature, channels: frozenset[str], *, path: str) -> ImportWork:
    if message.download_to_workspace:
        raise UnsupportedFeature(at(path, "downloadToWorkspace"), "a workspace", "leave it out")
    if len(signature.output_artifacts) != 1:
        raise InvalidPipeline(path, "an importer's component has exactly one output artifact")
    output, artifact = next(iter(signature.output_artifacts.items()))
    names = frozenset(signature.input_parameters) | channels
    known = Known(input_parameters=names, parts=frozenset({Part.INPUT_PARAMETER}))
    metadata = whole_numbers(plain(message.metadata))
    check(metadata, known, path=at(path, "metadata"))
    uri, uri_input = _uri(message.artifact_uri, names, at(path, "artifactUri"))
    return ImportWork(
        output=output,
        schema_title=message.type_schema.schema_title or artifact.schema_title,
        uri=uri,
        uri_input=uri_input,
        metadata=metadata if isinstance(metadata, Mapping) else {},
        reimport=message.reimport,
    )


def _uri(message: Any, names: frozenset[str], path: str) -> tuple[str, str]:
    kind = message.WhichOneof("value")
    if kind == "runtime_parameter":
        if message.runtime_parameter not in names:
            raise InvalidPipeline(at(path, "runtimeParameter"), "must be an input of the component")
        return "", message.runtime_parameter
    value = plain(message.constant) if kind == "constant" else message.constant_value.string_value
    if not isinstance(value, str) or not value or has_placeholder(value):
        raise InvalidPipeline(at(path, "constant"), "must be the artifact's address")
    if leads_nowhere(value):
        raise InvalidPipeline(
            at(path, "constant"),
            "an address of the artifact store is store://file/ or store://tree/ and 64 hex digits",
        )
    return value, ""
