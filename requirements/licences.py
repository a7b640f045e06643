"""The licences of all that is needed at run time, by what the installed packages say of themselves: `make licences`.

Prints a table; ends with 1 if a package names no licence, or one that licences.txt beside this file does not allow.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE: Final = Path(__file__).parent
_CLASSIFIER: Final = "License :: "
_LONGEST: Final = 80
"""A longer text is the licence itself, not its name."""
_BETWEEN: Final = re.compile(r"\s+(?:AND|OR|WITH)\s+|[()]|\s*;\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed package, and the licence that it names; None: it names none."""

    name: str
    version: str
    licence: str | None

    def fault(self, allowed: frozenset[str]) -> str | None:
        """What is wrong with it; None: nothing. Of several licences all must be allowed."""
        if self.licence is None:
            return "names no licence"
        strange = sorted(parts_of(self.licence) - allowed)
        return f"not in licences.txt: {', '.join(strange)}" if strange else None


def parts_of(licence: str) -> frozenset[str]:
    """The licences that an expression is made of."""
    return frozenset(part.strip() for part in _BETWEEN.split(licence) if part.strip())


def licence_of(found: Distribution) -> str | None:
    """The licence that a package names: an SPDX expression, else its classifiers, else a short text."""
    told = found.metadata
    expression: str | None = told.get("License-Expression")
    if expression:
        return expression
    classified = [
        text.rpartition(" :: ")[2] for text in told.get_all("Classifier") or () if text.startswith(_CLASSIFIER)
    ]  # fmt: skip
    named = sorted(text for text in classified if text != "OSI Approved")
    if named:
        return "; ".join(named)
    text = (told.get("License") or "").strip()
    return text if text and len(text) <= _LONGEST and "\n" not in text else None


def needed(wanted: Iterator[str]) -> Iterator[Package]:
    """Every package that these requirements come to on this machine, by name; what is not for it is left out.

    Raises:
        PackageNotFoundError: One is not installed.
    """
    waiting = [Requirement(line) for line in wanted]
    seen: dict[tuple[str, frozenset[str]], Distribution] = {}
    while waiting:
        one = waiting.pop()
        key = (canonicalize_name(one.name), frozenset(one.extras))
        if key in seen or (one.marker and not one.marker.evaluate()):
            continue
        seen[key] = found = distribution(one.name)
        for text in found.requires or ():
            inner = Requirement(text)
            environments = [{"extra": extra} for extra in ("", *one.extras)]
            if inner.marker is None or any(inner.marker.evaluate(env) for env in environments):
                inner.marker = None
                waiting.append(inner)
    for name in sorted({name for name, _ in seen}):
        found = next(value for key, value in seen.items() if key[0] == name)
        yield Package(name=name, version=found.version, licence=licence_of(found))


def lines(file: Path) -> Iterator[str]:
    """Its lines without comments."""
    for line in file.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text:
            yield text


def table(packages: list[Package], exceptions: Mapping[str, str]) -> Iterator[str]:
    """Markdown."""
    yield "| package | version | licence |"
    yield "|---|---|---|"
    for one in packages:
        yield f"| {one.name} | {one.version} | {one.licence or exceptions.get(one.name, '?')} |"


def read_allowed(file: Path) -> tuple[frozenset[str], dict[str, str]]:
    """The allowed licences, and, of lines `package: licence`, what packages say that name none in their metadata."""
    told = [line.partition(": ") for line in lines(file)]
    return (
        frozenset(name for name, colon, _ in told if not colon),
        {name: licence for name, colon, licence in told if colon},
    )


def main() -> int:
    allowed, exceptions = read_allowed(HERE / "licences.txt")
    try:
        packages = list(needed(lines(HERE / "runtime.in")))
    except PackageNotFoundError as error:
        sys.stderr.write(f"not installed: {error.name}; run `make setup`\n")
        return 1
    sys.stdout.write("\n".join(table(packages, exceptions)) + "\n")
    told = [
        Package(name=one.name, version=one.version, licence=one.licence or exceptions.get(one.name))
        for one in packages
    ]
    faults = [f"{one.name} {one.version}: {fault}\n" for one in told if (fault := one.fault(allowed))]
    sys.stderr.writelines(faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
