"""Paths of siblings: the same task in another round of a loop, or another try of a sub-pipeline. Pure."""

from nodewise.core.model.ids import TaskPath


def sibling_path(path: TaskPath, like: TaskPath, own: TaskPath) -> TaskPath:
    """What `path` is to `like`, to `own`: of `loop[0].a`, beside `loop[0].b`, for `loop[2].b`, it is `loop[2].a`."""
    parts, same, there = path.split("."), like.split("."), own.split(".")
    if len(same) != len(there):
        return path
    count = 0
    while count < min(len(parts), len(same)) and parts[count] == same[count]:
        count += 1
    return TaskPath(".".join([*there[:count], *parts[count:]]))
