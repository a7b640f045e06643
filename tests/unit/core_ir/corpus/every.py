"""The whole corpus."""

from tests.unit.core_ir.corpus import branches, flat, nested, repeats

CASES = [*flat.CASES, *branches.CASES, *repeats.CASES, *nested.CASES]
