"""Estimates that learn: run time and peak memory per task class and node class, with their uncertainty.

`observe` folds an outcome into `Beliefs`, a value made of small numbers. `fit` turns beliefs into a `Model`, which
answers as many queries as you like; `predict` does both for one query.

The model, on logarithms: outcome = general level + task class + node class + their interaction + slope x size + noise.
No node is faster as such: the interaction is a free effect of each pair, shrunk towards the sum of the other two as
long as the pair has little data (partial pooling). Noise is Student's t, so outliers lose their weight. Where
outcomes surprise more than their noise explains, since a node is busier at one time than at another, ranges are widened.
"""

from nodewise.core.estimates.learning.beliefs import Beliefs, merge, observe, observe_all
from nodewise.core.estimates.learning.facts import (
    Basis,
    MemoryPrediction,
    NodeFacts,
    Observation,
    Prediction,
    Query,
)
from nodewise.core.estimates.learning.prediction import Model, fit, predict, predict_memory
from nodewise.core.estimates.learning.samples import Samples

__all__ = [
    "Basis",
    "Beliefs",
    "MemoryPrediction",
    "Model",
    "NodeFacts",
    "Observation",
    "Prediction",
    "Query",
    "Samples",
    "fit",
    "merge",
    "observe",
    "observe_all",
    "predict",
    "predict_memory",
]
