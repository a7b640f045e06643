"""Amounts of CPU and memory as Kubernetes and KFP write them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.model.quantities import cores_to_millicores, gigabytes_to_mebibytes, mebibytes, millicores


@pytest.mark.parametrize(
    ("text", "amount"),
    [("500m", 500), ("2", 2000), ("0.5", 500), (".25", 250), ("1.0005", 1001), ("0", 0), ("0.1m", 1)],
)
def test_cpu_is_read_and_rounded_up(text: str, amount: int) -> None:
    assert millicores(text) == amount


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("4Gi", 4096),
        ("512Mi", 512),
        ("1G", 954),
        ("1Ki", 1),
        ("1048576", 1),
        ("1.5Gi", 1536),
        ("1k", 1),
        ("2Ti", 2 * 1024**2),
    ],
)
def test_memory_is_read_and_rounded_up(text: str, amount: int) -> None:
    assert mebibytes(text) == amount


@pytest.mark.parametrize("text", ["", "x", "-1", "1 m", "1e3", "²", "1" * 40, "999999999999", "1.2.3", "1M"])
def test_what_is_no_cpu_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|larger"):
        millicores(text)


@pytest.mark.parametrize("text", ["", "x", "-1Gi", "1 Gi", "1Gib", "1m", "1" * 60, "999Ei", "٣Gi"])
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|larger"):
        mebibytes(text)


def test_the_deprecated_numbers_are_cores_and_gigabytes() -> None:
    assert cores_to_millicores(0.1) == 100
    assert gigabytes_to_mebibytes(4.294967296) == 4096
    with pytest.raises(ValueError, match="negative"):
        cores_to_millicores(-1)


@given(st.text(max_size=30))
def test_any_text_is_an_amount_or_a_value_error(text: str) -> None:
    for read in (millicores, mebibytes):
        with suppress(ValueError):
            assert read(text) >= 0
