"""Multiply-accumulates of one sample's forward pass through a neural network, from its hyper-parameters."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

DEFAULT_HIDDEN: Final = (100,)
"""Hidden layers where none are given: scikit-learn's `MLPClassifier`."""
DEFAULT_FILTERS: Final = (32, 64)
"""Convolutions where none are given: the two of the usual MNIST example."""
DEFAULT_KERNEL: Final = 3
DEFAULT_CHANNELS: Final = 1
POOLING: Final = 2
"""Each convolution is followed by a pooling that halves both sides."""

Parameters = Mapping[str, float | int | str | bool | list[float | int] | None]


def dense_macs(parameters: Parameters, *, inputs: int, outputs: int) -> float | None:
    """Fully connected layers: the sum of inputs x outputs over layers (Goodfellow, Bengio, Courville, Deep Learning, 2016, chapter 6).

    `hidden_layer_sizes`, `hidden_layers` or `layers`: sizes of the hidden layers, or their number with `units` (100)
    each. None when what is given makes no sense.
    """
    hidden = _hidden(parameters, ("hidden_layer_sizes", "hidden_layers", "layers"), DEFAULT_HIDDEN)
    if hidden is None:
        return None
    sizes = [float(inputs), *hidden, float(max(1, outputs))]
    return sum(left * right for left, right in pairwise(sizes))


def cnn_macs(parameters: Parameters, *, inputs: int, outputs: int) -> float | None:
    """Convolutions, then fully connected layers: side^2 x kernel^2 x channels in x channels out per convolution
    (Sze, Chen, Yang, Emer, Efficient Processing of Deep Neural Networks, Proc. IEEE, 2017).

    Images are square; `inputs` are all values of one. `filters` ([32, 64]), `kernel_size` (3), `channels` (1),
    and for the end `dense` or `hidden_layer_sizes` (none). Sides are kept by padding and halved after each convolution.
    """
    filters = _hidden(parameters, ("filters", "conv_layers"), DEFAULT_FILTERS)
    dense = _hidden(parameters, ("dense", "hidden_layer_sizes"), ())
    channels = _positive(parameters.get("channels"), DEFAULT_CHANNELS)
    kernel = _positive(parameters.get("kernel_size"), DEFAULT_KERNEL)
    if filters is None or dense is None or channels is None or kernel is None:
        return None
    side, total = math.sqrt(inputs / channels), 0.0
    for wide in filters:
        total += side**2 * kernel**2 * channels * wide
        channels, side = wide, max(1.0, side / POOLING)
    sizes = [side**2 * channels, *dense, float(max(1, outputs))]
    return total + sum(left * right for left, right in pairwise(sizes))


def _hidden(parameters: Parameters, names: tuple[str, ...], default: tuple[int, ...]) -> list[float] | None:
    """Layer sizes under the first of these names that is given; None when they are not sizes."""
    value = next((parameters[name] for name in names if parameters.get(name) is not None), None)
    if value is None:
        return [float(size) for size in default]
    if isinstance(value, list):
        sizes = [_positive(size, None) for size in value]
        known = [size for size in sizes if size is not None]
        return known if len(known) == len(sizes) else None
    count, units = _positive(value, None), _positive(parameters.get("units"), DEFAULT_HIDDEN[0])
    if count is None or units is None or count > 1000:
        return None
    return [units] * int(count)


def _positive(value: object, default: float | None) -> float | None:
    if value is None:
        return default
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value <= 0
    ):
        return None
    return float(value)
