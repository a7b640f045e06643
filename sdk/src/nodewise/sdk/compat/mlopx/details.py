"""The layers of a Keras model, as `metadata.json` wants them."""

import json
import sys
from typing import Any


class ModelDetails:
    """Describes models for `metadata.json`."""

    @staticmethod
    def tf_dnn_layers(model: Any, display: bool = False) -> list[dict[str, Any]]:
        """Describe a built Keras model layer by layer.

        Args:
            model: has `layers`.
            display: whether to print them as JSON, too.

        Returns:
            Of each layer its type, its shapes without the batch, its number of parameters, and what its kind has besides.
        """
        layers = [_layer(layer) for layer in model.layers]
        if display:
            sys.stdout.write(json.dumps(layers, indent=4) + "\n")
        return layers


def _layer(layer: Any) -> dict[str, Any]:
    kind = type(layer).__name__
    details: dict[str, Any] = {
        "type": kind,
        "input_shape": list(layer.input.shape[1:]),
        "output_shape": list(layer.output.shape[1:]),
        "params": layer.count_params(),
    }
    own = {"Conv2D": ("kernel_size", "strides"), "MaxPooling2D": ("pool_size",)}.get(kind, ())
    return {**details, **{name: list(getattr(layer, name)) for name in own}}
