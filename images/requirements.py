"""What one service needs of the lock: `python images/requirements.py PORTION ... [--with NAME ...] > requirements.txt`.

Runs in the first stage of every image, on a bare Python: standard library only. The lock says of each package what wants
it ("# via"), so the subset is found without a resolver and without the network, with the hashes of the lock.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = Path("requirements/lock.txt")
OURS = "nodewise-"
"""What the names of our own distributions begin with; the rest of the name is their portion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """One entry of the lock: the distribution, its lines, and the distributions (and files) that want it."""

    name: str
    lines: str
    via: frozenset[str]


def read_lock(text: str) -> Sequence[Locked]:
    """The entries in the order of the file. One distribution may have several, each with another marker."""
    return [_entry(part) for part in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if part.strip()]


def _entry(text: str) -> Locked:
    lines, _, comment = text.partition("    # via")
    via = (line.strip("# ").strip() for line in comment.splitlines())
    return Locked(name=name_of(text), lines=lines, via=frozenset(name for name in via if name))


def name_of(requirement: str) -> str:
    """The normalised name that a requirement begins with.

    Raises:
        ValueError: It begins with none.
    """
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement.strip())
    if found is None:
        raise ValueError(f"no requirement: {requirement!r}")
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def subset(lock: Sequence[Locked], roots: Iterable[str]) -> str:
    """The part of the lock that these distributions need, with them.

    Raises:
        LookupError: One of them is not locked.
    """
    wanted = set(roots)
    while more := {locked.name for locked in lock if locked.via & wanted} - wanted:
        wanted |= more
    return entries(lock, wanted)


def entries(lock: Sequence[Locked], names: Iterable[str]) -> str:
    """The lines of these distributions alone.

    Raises:
        LookupError: One of them is not locked.
    """
    wanted = set(names)
    if missing := wanted - {locked.name for locked in lock}:
        raise LookupError(f"not in the lock: {', '.join(sorted(missing))}")
    return "".join(locked.lines for locked in lock if locked.name in wanted)


def folder_of(portion: str, root: Path = ROOT) -> Path:
    """Where a portion lies."""
    return root / portion if portion == "sdk" else root / "services" / portion


def portions(wanted: Iterable[str], root: Path = ROOT) -> Mapping[str, frozenset[str]]:
    """These portions and those that they need, each with the extras that are asked for."""
    found: dict[str, set[str]] = {}
    left = [(portion, "") for portion in wanted]
    while left:
        portion, extras = left.pop()
        before = found.get(portion)
        known = found.setdefault(portion, set())
        known.update(extra for extra in extras.split(",") if extra)
        if before is None or extras:
            left += _ours(_dependencies(portion, known, root))
    return {portion: frozenset(extras) for portion, extras in found.items()}


def _ours(dependencies: Iterable[str]) -> Iterator[tuple[str, str]]:
    for dependency in dependencies:
        if dependency.startswith(OURS):
            name, _, extras = dependency.removeprefix(OURS).partition("[")
            yield name, extras.rstrip("]")


def _dependencies(portion: str, extras: Iterable[str], root: Path) -> Sequence[str]:
    project = tomllib.loads((folder_of(portion, root) / "pyproject.toml").read_text())["project"]
    optional = project.get("optional-dependencies", {})
    return [*project["dependencies"], *(name for extra in extras for name in optional[extra])]


def roots_of(wanted: Iterable[str], root: Path = ROOT) -> frozenset[str]:
    """The distributions of others that these portions, and those that they need, name."""
    return frozenset(
        name_of(dependency)
        for portion, extras in portions(wanted, root).items()
        for dependency in _dependencies(portion, extras, root)
        if not dependency.startswith(OURS)
    )


def main() -> None:
    """Print the subset, or with --folders the folders of the portions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("portions", nargs="*", metavar="PORTION")
    parser.add_argument(
        "--with", dest="more", nargs="+", default=[], metavar="NAME", help="and these of others"
    )
    parser.add_argument("--exactly", nargs="+", metavar="NAME", help="these alone, without what they need")
    parser.add_argument("--folders", action="store_true", help="print the folders of the portions instead")
    given = parser.parse_args()
    if given.folders:
        sys.stdout.write("".join(f"{folder_of(name)}\n" for name in sorted(portions(given.portions))))
        return
    lock = read_lock((ROOT / LOCK).read_text())
    if given.exactly:
        sys.stdout.write(entries(lock, map(name_of, given.exactly)))
        return
    sys.stdout.write(subset(lock, {*roots_of(given.portions), *map(name_of, given.more)}))


if __name__ == "__main__":
    main()
