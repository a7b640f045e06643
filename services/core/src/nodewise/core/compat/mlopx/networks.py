"""The layers of a neural network, as mlopx describes them one by one, in the few figures that our estimates take."""

from collections.abc import Mapping, Sequence
from typing import Final

_LARGEST: Final = 2**31


def layer_parameters(layers: Sequence[object], *, model: str) -> dict[str, object]:
    """`layers` or `dense`, and for convolutions `filters`, `kernel_size` and `channels`. The last dense layer is the output.

    Args:
        layers: objects with `type`, `input_shape` and `output_shape` (without the batch); others are passed over.
        model: the model's type: `cnn`, or any other for a dense network.
    """
    dense = [width for layer in _of(layers, "Dense") if (width := _last(layer, "output_shape"))]
    hidden = dense[:-1]
    if model != "cnn":
        return {"layers": hidden} if hidden else {}
    convolutions = list(_of(layers, "Conv2D"))
    filters = [width for layer in convolutions if (width := _last(layer, "output_shape"))]
    figures: dict[str, object] = {
        "filters": filters,
        "dense": hidden,
        "kernel_size": _last(convolutions[0], "kernel_size") if convolutions else None,
        "channels": _last(convolutions[0], "input_shape") if convolutions else None,
    }
    return {name: value for name, value in figures.items() if value}


def _of(layers: Sequence[object], kind: str) -> Sequence[Mapping[str, object]]:
    return [layer for layer in layers if isinstance(layer, Mapping) and layer.get("type") == kind]


def _last(layer: Mapping[str, object], name: str) -> int | None:
    value = layer.get(name)
    number = value[-1] if isinstance(value, list) and value else value
    sized = isinstance(number, int) and not isinstance(number, bool) and 0 < number < _LARGEST
    return number if sized and isinstance(number, int) else None
