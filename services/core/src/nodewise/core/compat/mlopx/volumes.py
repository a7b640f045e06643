"""Volumes of a component. Only Kubernetes has them: elsewhere data comes as an artifact, or as a registered data set.

What a component's argument names below a volume's path is taken for a data set: `/mnt/datasets/wine/red.csv` on a volume at
`/mnt/datasets` is the file `red.csv` of the data set `wine`. Where that one is registered, its files are put on the node
and the function gets their path; elsewhere the path stays, for nodes that have the folder themselves. Other uses of a
volume's path are refused: no node has it, and steps on different nodes would not see each other's files.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from nodewise.core.compat.mlopx.model import Use, Volume
from nodewise.core.compat.mlopx.texts import Part, UnreadableScript
from nodewise.core.model.component import ValueKind

_ADVICE: Final = "hand the data on as an artifact, or register it as a data set and name it in an argument"
_MAX_PATH: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How a component does without its volumes: the data set that it takes from them, and its module for a node."""

    dataset: str | None
    source: str
    notes: tuple[str, ...] = ()


def settle(use: Use) -> Settled:
    """Find out what a component needs of its volumes.

    Raises:
        UnreadableScript: a path on a volume that is not one argument's data set.
    """
    component = use.component
    if not use.volumes:
        return Settled(dataset=None, source=component.source)
    for volume in use.volumes:
        _check(use, volume)
        _check_texts(use, volume)
    found = [(name, volume, _dataset(use, name, value, volume)) for name, value, volume in _paths(use)]
    names = {dataset for _, _, dataset in found}
    if len(names) > 1:
        raise use.refused(
            f"takes several data sets from volumes ({', '.join(sorted(names))}); a task has one"
        )
    if not found:
        claims = ", ".join(sorted({volume.claim for volume in use.volumes}))
        note = f"{component.function}: the volume {claims} is left out: nothing in the component refers to its path"
        return Settled(dataset=None, source=component.source, notes=(note,))
    dataset = found[0][2]
    return Settled(
        dataset=dataset,
        source=component.source + _on_node(component.function, dataset, [(n, v.path) for n, v, _ in found]),
        notes=tuple(_note(use, name, volume, dataset) for name, volume, _ in found),
    )


def _check(use: Use, volume: Volume) -> None:
    path = volume.path
    if not path.startswith("/") or not path.strip("/") or ".." in path.split("/") or len(path) > _MAX_PATH:
        reason = "a volume's path must be absolute, and below the root folder"
        raise UnreadableScript(Part.PIPELINE, use.script, reason, line=volume.line)


def _check_texts(use: Use, volume: Volume) -> None:
    for line, text in use.component.texts:
        if _below(text, volume) is not None:
            file = use.component.file.file
            reason = f"names a path on the volume {volume.claim!r}, which no node has; {_ADVICE}"
            raise UnreadableScript(Part.COMPONENTS, file, reason, line=line)


def _paths(use: Use) -> Iterator[tuple[str, str, Volume]]:
    """The arguments that name something on a volume."""
    for name, parameter in use.component.parameters.items():
        value = use.arguments.get(name)
        for volume in use.volumes:
            if parameter.kind is not ValueKind.STRING:
                _check_inside(use, name, value, volume)
            elif isinstance(value, str) and _below(value, volume) is not None:
                yield name, value, volume
                break


def _check_inside(use: Use, name: str, value: object, volume: Volume) -> None:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending += [*item, *item.values()]
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, str) and _below(item, volume) is not None:
            raise use.refused(
                f"the argument {name!r} names a path on the volume {volume.claim!r} inside a list or dict; {_ADVICE}",
            )


def _dataset(use: Use, name: str, value: str, volume: Volume) -> str:
    parts = (_below(value, volume) or "").split("/")
    if not parts[0] or ".." in parts:
        reason = f"the argument {name!r} is the whole volume {volume.claim!r}, which no node has; {_ADVICE}"
        raise use.refused(reason)
    return parts[0]


def _below(text: str, volume: Volume) -> str | None:
    """What a text names below the volume's path; empty for the path itself, None for anything else."""
    root = volume.path.rstrip("/")
    if text.rstrip("/") == root:
        return ""
    return text[len(root) :].strip("/") if text.startswith(f"{root}/") else None


def _note(use: Use, name: str, volume: Volume, dataset: str) -> str:
    return (
        f"{use.component.function}: the argument {name!r} names the data set {dataset!r} on the volume {volume.claim!r}; where it is "
        "registered it is put on the task's node, else the node must have that path itself"
    )


def _on_node(function: str, dataset: str, arguments: list[tuple[str, str]]) -> str:
    given = json.dumps({name: path.rstrip("/") for name, path in arguments})
    return f"{_ON_NODE}\n\n{function} = _with_data_set({function}, {given}, {json.dumps(dataset)})\n"


_ON_NODE: Final = '''

def _with_data_set(function, mounts, name):
    """Give the function paths on this node instead of paths on a volume."""
    import functools
    import inspect
    import os
    import tarfile
    import tempfile

    staged = os.environ.get("NODEWISE_DATASET")

    def laid_out(path, mount):
        root = tempfile.mkdtemp(prefix="volume-")
        target = os.path.join(root, os.path.relpath(path, mount))
        folder = os.path.join(root, name)
        if tarfile.is_tarfile(staged) and not path.rstrip("/").endswith((".tar", ".tgz", ".tar.gz")):
            with tarfile.open(staged) as packed:
                packed.extractall(folder, filter="data")
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.symlink(staged, target)
        if not os.path.exists(target):
            raise FileNotFoundError(f"the data set {name!r} has nothing that is {path[len(mount) + 1:]!r}")
        return target

    def here(path, mount):
        if not isinstance(path, str) or not path.startswith(mount + "/"):
            return path
        if staged:
            return laid_out(path, mount)
        if not os.path.exists(path):
            raise FileNotFoundError(
                f"{path} is not on this node: register the data set {name!r}, or mount the folder on the nodes"
            )
        return path

    @functools.wraps(function)
    def call(**arguments):
        for argument, mount in mounts.items():
            if argument in arguments:
                arguments[argument] = here(arguments[argument], mount)
        return function(**arguments)

    # KFP looks at the arguments of what it calls, and not behind a wrapper.
    call.__signature__ = inspect.signature(function)
    return call
'''
"""Runs on the node, after the component's own text."""
