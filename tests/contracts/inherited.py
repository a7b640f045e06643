"""How properties are declared that several test classes inherit."""

from hypothesis import HealthCheck, settings

from tests.support.examples import examples

inherited = settings(
    # One property, many implementations is the purpose here; an example that broke one is worth a try on all.
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
    deadline=None,
    max_examples=examples(60),
)
