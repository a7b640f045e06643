"""The whole corpus of pipelines on the agents: each ends as KFP documents."""

from collections.abc import Mapping

import pytest

from tests.support.corpus_runs import Ended, check_as_documented, ended_runs
from tests.support.stack import RunningStack
from tests.unit.core_ir.corpus.every import CASES

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1000)]

INDICES = range(len(CASES))
IDS = [f"{index}-{case.name}" for index, case in enumerate(CASES)]


@pytest.fixture(scope="module")
def ended(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Ended]:
    """All of them submitted at once, and waited for."""
    return ended_runs(stack, tmp_path_factory.mktemp("packages"), engine="agents", indices=INDICES)


@pytest.mark.parametrize("index", INDICES, ids=IDS)
def test_it_ends_as_documented(index: int, ended: Mapping[int, Ended]) -> None:
    check_as_documented(CASES[index], ended[index])
