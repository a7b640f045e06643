"""What the portfolio does when there is no time at all: it keeps what is known."""

from random import Random

from bench.placement.streams import stream
from nodewise.core.model.problem import Objective, PlanningContext
from nodewise.planning.decoder import Decoder
from nodewise.planning.instance import index
from nodewise.planning.portfolio import Effort, improve


def test_without_time_a_balanced_plan_is_not_given_up_for_the_first_member() -> None:
    """HEFT's, the first, is a little shorter and has several times the mean flow."""
    decoder = Decoder(index(stream(60, 0)))
    context = PlanningContext(rng=Random(0), objective=Objective.BALANCED)
    known = improve(decoder, context, Effort(placements=20_000)).best
    late = PlanningContext(rng=Random(0), objective=Objective.BALANCED, out_of_time=lambda: True)
    assert improve(decoder, late, Effort(placements=20_000), known=[known]).best.score == known.score
