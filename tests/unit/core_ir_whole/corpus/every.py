"""The whole corpus."""

from tests.unit.core_ir_whole.corpus import branches, flat, nested, repeats

CASES = [*flat.CASES, *branches.CASES, *repeats.CASES, *nested.CASES]
