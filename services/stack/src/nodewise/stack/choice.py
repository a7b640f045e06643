"""What `nodewise up` was asked for, by options and by the environment: known policies and strategies, or nothing starts."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from nodewise.core import plugins
from nodewise.stack.errors import StackError
from nodewise.stack.plan import Options


def chosen(options: Options, env: Mapping[str, str]) -> Options:
    """The options with a preset replaced by what it stands for; a policy beside it wins over its own.

    Where the environment names the image of a carrier's pods, there is to be a carrier.

    Raises:
        StackError: A name that the options or the environment carry is none of an installed policy, strategy or
            preset. Every run would wait for it for ever.
    """
    strategies = {*plugins.strategies(), *plugins.presets()}
    _require("--policy", options.policy, plugins.policies())
    _require("--strategy", options.strategy, strategies)
    _require("NODEWISE_POLICY", env.get("NODEWISE_POLICY"), plugins.policies())
    _require("NODEWISE_STRATEGY", env.get("NODEWISE_STRATEGY"), strategies)
    options = replace(options, carrier=options.carrier or "NODEWISE_KUBERNETES_IMAGE" in env)
    preset = plugins.presets().get(options.strategy or "")
    if preset is None:
        return options
    return replace(options, policy=options.policy or preset.policy, strategy=preset.strategy)


def _require(source: str, name: str | None, known: Collection[str]) -> None:
    if name is not None and name not in known:
        raise StackError(f"{source} is {name!r}, which is not known", f"known: {', '.join(sorted(known))}")
