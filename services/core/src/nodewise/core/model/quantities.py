"""Kubernetes quantities as KFP writes them: `500m`, `2`, `4Gi`, `512Mi`, `1G`."""

import re
from fractions import Fraction
from typing import Final

_CPU: Final = re.compile(r"(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})(m?)", re.ASCII)
_MEMORY: Final = re.compile(r"(\d{1,20}(?:\.\d{0,12})?|\.\d{1,12})([a-zA-Z]{0,2})", re.ASCII)
_BYTES: Final = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    "K": 1000,
    **{f"{unit}i": 1024**power for power, unit in enumerate(("K", "M", "G", "T", "P", "E"), start=1)},
}
_MIB: Final = 1024**2
LARGEST_AMOUNT: Final = 2**31 - 1
"""In millicores or MiB: what the record's integer columns hold."""


def millicores(text: str) -> int:
    """Thousandths of a core, rounded up.

    Raises:
        ValueError: not a quantity of CPU; the text says which forms are.
    """
    match = _CPU.fullmatch(text)
    if match is None:
        raise ValueError(f"must be an amount of CPU such as 2, 0.5 or 500m, is {text[:40]!r}")
    number, milli = match.groups()
    return _bounded(Fraction(number) * (1 if milli else 1000))


def mebibytes(text: str) -> int:
    """Memory in MiB, rounded up.

    Raises:
        ValueError: not a quantity of memory.
    """
    match = _MEMORY.fullmatch(text)
    if match is None or match.group(2) not in _BYTES:
        raise ValueError(f"must be an amount of memory such as 4Gi, 512Mi or 1G, is {text[:40]!r}")
    return _bounded(Fraction(match.group(1)) * _BYTES[match.group(2)] / _MIB)


def gigabytes_to_mebibytes(gigabytes: float) -> int:
    """The deprecated number form of KFP: memory in 10^9 bytes.

    Raises:
        ValueError: negative or absurdly large.
    """
    return _bounded(Fraction(round(gigabytes * 1000**3)) / _MIB)


def cores_to_millicores(cores: float) -> int:
    """The deprecated number form of KFP: CPU in cores.

    Raises:
        ValueError: negative or absurdly large.
    """
    # A decimal such as 0.1 is slightly more than a tenth in binary: round it before rounding up.
    return _bounded(Fraction(round(cores * 1000, 6)))


def _bounded(amount: Fraction) -> int:
    rounded = -(-amount.numerator // amount.denominator)
    if not 0 <= rounded <= LARGEST_AMOUNT:
        raise ValueError("is negative or larger than any machine")
    return rounded
