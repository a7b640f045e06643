"""Which policy, which strategy and which engine a run gets."""

from dataclasses import dataclass

from nodewise.api.problems import invalid
from nodewise.core import plugins
from nodewise.core.model.engines import KUBEFLOW
from nodewise.core.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Names of a policy and a strategy."""

    policy: str
    strategy: str


def choose(policy: str | None, strategy: str | None, settings: Settings) -> Choice:
    """What the request names, else what the settings name. A preset names both; a policy beside it wins over its own.

    Raises:
        Problem: 422, no such name is installed; lists the known ones.
    """
    if policy is not None and policy not in plugins.policies():
        raise invalid("body.policy", _unknown("policy", policy, [*plugins.policies()]))
    if strategy is not None and strategy not in {**plugins.presets(), **plugins.strategies()}:
        known = sorted({*plugins.strategies(), *plugins.presets()})
        raise invalid("body.strategy", _unknown("strategy or preset", strategy, known))
    named = strategy if strategy is not None else settings.strategy
    preset = plugins.presets().get(named)
    # A preset of the settings yields to the settings' own policy: its strategy alone is the default.
    if preset is not None and strategy is not None:
        return Choice(policy=policy or preset.policy, strategy=preset.strategy)
    return Choice(policy=policy or settings.policy, strategy=preset.strategy if preset else named)


def unknown_default(settings: Settings) -> str | None:
    """What is wrong with the names that runs get which name none; None: they are installed. Without it such runs would wait for ever."""
    if settings.policy not in plugins.policies():
        return f"NODEWISE_POLICY: {_unknown('policy', settings.policy, sorted(plugins.policies()))}"
    known = {**plugins.presets(), **plugins.strategies()}
    if settings.strategy not in known:
        return f"NODEWISE_STRATEGY: {_unknown('strategy or preset', settings.strategy, sorted(known))}"
    return None


def choose_engine(engine: str | None, settings: Settings) -> str:
    """The engine that the request names, else the one that the settings name.

    Raises:
        Problem: 422, that engine is not there.
    """
    named = engine or settings.engine
    if named == KUBEFLOW and settings.kfp_url is None:
        raise invalid(
            "body.engine",
            "no Kubeflow Pipelines is configured here (NODEWISE_KFP_URL); use engine agents or kubernetes",
        )
    return named


def _unknown(kind: str, name: str, known: list[str]) -> str:
    return f"no {kind} named {name!r} is installed; known: {', '.join(known) or '(none)'}"
