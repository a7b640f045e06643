"""Work of a task in floating-point operations, from its data set and its model. Unknown stays unknown (None).

The figures compare tasks with each other (`shortest`), so the order of magnitude counts: constant factors are kept
where a textbook gives them and are 1 elsewhere. In all formulas n is samples, d is features, k is classes.

Training costs what `_TRAINING` says. Evaluation and inference cost one forward pass over the data, as `_FORWARD` says.
Names of hyper-parameters and defaults are scikit-learn's (estimators) and Keras's (networks).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from nodewise.core.estimates.networks import cnn_macs, dense_macs
from nodewise.core.model.task import DatasetFacts, ModelFacts, TaskKind, TaskSpec

FLOPS_PER_MAC: Final = 2
"""A multiply-accumulate is one multiplication and one addition (Goodfellow, Bengio, Courville, Deep Learning, 2016)."""
FORWARD_AND_BACKWARD: Final = 3
"""The backward pass costs twice the forward pass: gradients by activations and by weights (Kaplan et al., Scaling Laws
for Neural Language Models, 2020, section 2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The sizes that a formula takes: all known."""

    samples: int
    features: int
    classes: int
    """At least 1; 1 also stands for regression and for unknown: it scales only what is done once per class."""
    model: ModelFacts

    def number(self, *names: str, default: float) -> float:
        """The first hyper-parameter of these names that is a positive number, else the default (-1 means "no limit")."""
        for name in names:
            value = self.model.parameters.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
                return float(value)
        return default


def effort_flops(spec: TaskSpec) -> float | None:
    """The work of one run of this task, in floating-point operations; None where its data or its model is not known.

    Preprocessing touches every value a fixed number of times (scaling, encoding, splitting): samples x features, the
    seed system's rule.
    """
    sizes = _sizes(spec.dataset)
    if sizes is None:
        return None
    samples, features = sizes
    if spec.kind is TaskKind.PREPROCESSING:
        return float(samples * features)
    formulas = _formulas(spec.kind)
    formula = formulas.get(spec.model.type) if formulas and spec.model else None
    if formula is None or spec.model is None:
        return None
    classes = (spec.dataset.classes if spec.dataset else None) or 1
    flops = formula(Work(samples=samples, features=features, classes=classes, model=spec.model))
    return flops if flops is not None and math.isfinite(flops) else None


def _sizes(facts: DatasetFacts | None) -> tuple[int, int] | None:
    """Samples and features; the features follow from their types where only these are known."""
    if facts is None or facts.samples is None:
        return None
    features = facts.features if facts.features is not None else sum(facts.types.values()) or None
    return None if features is None else (facts.samples, features)


Formula = Callable[[Work], float | None]


def _formulas(kind: TaskKind) -> Mapping[str, Formula] | None:
    if kind is TaskKind.TRAINING:
        return _TRAINING
    if kind in (TaskKind.EVALUATION, TaskKind.INFERENCE):
        return _FORWARD
    return None


def linear_regression(work: Work) -> float:
    """Least squares by Householder QR: 2 n d^2 - 2/3 d^3, at most 2 n d^2 (Golub, Van Loan, Matrix Computations, 4th ed.,
    section 5.3; Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., section 3.9: O(n d^2)).
    The term in d^3 is left out, so the bound is returned.
    """
    return 2.0 * work.samples * work.features**2


def logistic_regression(work: Work) -> float:
    """First-order iterations of one matrix product forward and one back: 4 n d k per iteration (Nocedal, Wright, Numerical
    Optimization, 2nd ed., section 7.2 for L-BFGS; Hastie et al., section 4.4). Binary needs one score, not two.

    `max_iter` (100) iterations: an upper bound, since it may converge before.
    """
    scores = 1 if work.classes <= 2 else work.classes
    return 4.0 * work.samples * work.features * scores * work.number("max_iter", "epochs", default=100)


def decision_tree(work: Work) -> float:
    """Sorting every feature at every level: n d log2 n per level, over a depth of log2 n when balanced and unlimited
    (Hastie et al., section 9.7: d n log n for the first sort and as much again for the splits; Louppe, Understanding
    Random Forests, 2014, section 5.1: O(d n log^2 n) on average).

    `max_depth` (unlimited) cuts the number of levels.
    """
    return _tree(work, samples=work.samples, features=work.features)


def random_forest(work: Work) -> float:
    """Trees x a tree on sqrt(d) features tried per split and a bootstrap sample of 0.632 n distinct samples (Louppe 2014,
    section 5.1: O(M K n log^2 n); Breiman, Random Forests, 2001, for sqrt(d)).

    `n_estimators` (100), `max_depth` (unlimited).
    """
    trees = work.number("n_estimators", "trees", default=100)
    return trees * _tree(work, samples=0.632 * work.samples, features=math.sqrt(work.features))


def _tree(work: Work, *, samples: float, features: float) -> float:
    levels = min(_log2(samples), work.number("max_depth", default=math.inf))
    return samples * features * _log2(samples) * max(1.0, levels)


def support_vector_machine(work: Work) -> float:
    """Linear: coordinate descent passes over the data, 2 n d per pass and class (Hsieh et al., A Dual Coordinate Descent
    Method for Large-scale Linear SVM, 2008). Kernel: every pair's kernel once, n^2 d, and a solution whose cost lies
    between n^2 and n^3 with the number of support vectors (Bottou, Lin, Support Vector Machine Solvers, 2007); the
    middle, n^2.5, is taken.

    `kernel` ("rbf"; "linear" for the linear solver), `max_iter` (1000 passes where it is not given or unlimited).
    """
    if work.model.parameters.get("kernel", "rbf") == "linear":
        passes = work.number("max_iter", "epochs", default=1000)
        return 2.0 * work.samples * work.features * passes * max(1, work.classes - 1)
    return work.samples**2 * work.features + math.pow(work.samples, _KERNEL_SVM_GROWTH)


_KERNEL_SVM_GROWTH: Final = 2.5


def _network_training(forward_macs: Formula) -> Formula:
    """Multiply-accumulates x 2 x 3 (forward and backward) x samples x `epochs` (10)."""

    def training(work: Work) -> float | None:
        macs = forward_macs(work)
        if macs is None:
            return None
        epochs = work.number("epochs", "max_iter", default=10)
        return macs * FLOPS_PER_MAC * FORWARD_AND_BACKWARD * work.samples * epochs

    return training


def _network_forward(forward_macs: Formula) -> Formula:
    def forward(work: Work) -> float | None:
        macs = forward_macs(work)
        return None if macs is None else macs * FLOPS_PER_MAC * work.samples

    return forward


def _dense(work: Work) -> float | None:
    return dense_macs(work.model.parameters, inputs=work.features, outputs=work.classes)


def _convolutional(work: Work) -> float | None:
    return cnn_macs(work.model.parameters, inputs=work.features, outputs=work.classes)


def _linear_forward(work: Work) -> float:
    """One inner product per score: 2 n d k."""
    scores = 1 if work.classes <= 2 else work.classes
    return 2.0 * work.samples * work.features * scores


def _tree_forward(work: Work) -> float:
    """One comparison per level: n log2 n when balanced, cut by `max_depth` (Hastie et al., section 9.7)."""
    return work.samples * max(1.0, min(_log2(work.samples), work.number("max_depth", default=math.inf)))


def _forest_forward(work: Work) -> float:
    return work.number("n_estimators", "trees", default=100) * _tree_forward(work)


def _svm_forward(work: Work) -> float:
    """Linear: one inner product. Kernel: one per support vector; a tenth of the samples is taken to become one, since
    their share is not known before training (Steinwart, Sparseness of Support Vector Machines, 2003: it tends to
    twice the Bayes error, so a tenth stands for an error of 5 %).
    """
    if work.model.parameters.get("kernel", "rbf") == "linear":
        return _linear_forward(work)
    return 2.0 * work.samples * work.features * max(1.0, 0.1 * work.samples)


def _log2(value: float) -> float:
    return math.log2(max(2.0, value))


_TRAINING: Final[Mapping[str, Formula]] = MappingProxyType(
    {
        "linear_regression": linear_regression,
        "logistic_regression": logistic_regression,
        "decision_tree": decision_tree,
        "random_forest": random_forest,
        "svm": support_vector_machine,
        "nn": _network_training(_dense),
        "cnn": _network_training(_convolutional),
    }
)

_FORWARD: Final[Mapping[str, Formula]] = MappingProxyType(
    {
        "linear_regression": _linear_forward,
        "logistic_regression": _linear_forward,
        "decision_tree": _tree_forward,
        "random_forest": _forest_forward,
        "svm": _svm_forward,
        "nn": _network_forward(_dense),
        "cnn": _network_forward(_convolutional),
    }
)
