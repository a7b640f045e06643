"""The three steps that the pipelines of the waves share: prepare, train, evaluate.

A task travels as the source of its function, so each function imports what it needs in its own body. What differs
between pipelines (the data set, the model) is told to the scheduler by hints: `steps_for` makes tasks that carry them.
"""
# The function is all that travels, so its imports and its plain paths stay in it.
# ruff: noqa: PLC0415, PTH123, PLR0913, PLR0917, S301

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nodewise.sdk import Dataset, In, Metrics, Model, Out, Resources, task


def prepare_table(
    source: str,
    rows: int,
    features: int,
    classes: int,
    balance: float,
    scale: float,
    train: Out[Dataset],
    test: Out[Dataset],
) -> int:
    """Load a table that scikit-learn carries, or generate one; standardise it and split it 4 to 1.

    `balance` is the size of each class against the one before it: 1 makes all equally frequent.
    """
    import numpy as np

    if source == "generated":
        rng = np.random.default_rng(7)
        count = max(classes * 20, int(rows * scale))
        shares = balance ** np.arange(classes)
        y = rng.choice(classes, size=count, p=shares / shares.sum())
        y[:classes] = np.arange(classes)
        informative = min(features, 8)
        centres = np.zeros((classes, features))
        centres[:, :informative] = rng.normal(0.0, 2.0, size=(classes, informative))
        # One feature grows with the label, as in a graded quality, so that a regression has something to find.
        centres[:, 0] = np.arange(classes) * 3.0
        x = centres[y] + rng.normal(0.0, 1.5, size=(count, features))
    else:
        from sklearn import datasets

        x, y = getattr(datasets, f"load_{source}")(return_X_y=True)
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)
    order = np.random.default_rng(11).permutation(len(y))
    cut = len(y) * 4 // 5
    for artifact, part in ((train, order[:cut]), (test, order[cut:])):
        artifact.metadata["samples"] = len(part)
        with open(artifact.path, "wb") as file:
            np.savez(file, x=x[part].astype("float32"), y=y[part].astype("int64"))
    print(f"{source}: {len(y)} samples x {x.shape[1]} features, {len(np.unique(y))} classes")
    return len(y)


def prepare_images(
    source: str,
    count: int,
    side: int,
    channels: int,
    classes: int,
    noise: float,
    scale: float,
    train: Out[Dataset],
    test: Out[Dataset],
) -> int:
    """Load the digits that scikit-learn carries, or draw images: a pattern per class, shifted, dimmed and noisy.

    `noise` is the standard deviation of each value, of 255.
    """
    import numpy as np

    if source == "digits":
        from sklearn.datasets import load_digits

        images, y = load_digits(return_X_y=True)
        x = images / 16.0
    else:
        rng = np.random.default_rng(5)
        total = max(classes * 20, int(count * scale))
        y = rng.integers(0, classes, size=total)
        grid = np.arange(side) / side
        waves = rng.uniform(0.5, 3.0, size=(classes, channels, 2))
        drawn = np.empty((total, channels, side, side), dtype="uint8")
        for index, label in enumerate(y):
            shift = rng.uniform(0.0, 0.12, size=2)
            for channel in range(channels):
                across, down = waves[label, channel]
                pattern = np.sin(6.28 * across * (grid[:, None] + shift[0])) * np.cos(
                    6.28 * down * (grid + shift[1])
                )
                noisy = 127 + 80 * rng.uniform(0.5, 1.0) * pattern + rng.normal(0.0, noise, size=(side, side))
                drawn[index, channel] = np.clip(noisy, 0, 255)
        x = drawn.reshape(total, -1) / 255.0
    order = np.random.default_rng(11).permutation(len(y))
    cut = len(y) * 4 // 5
    for artifact, part in ((train, order[:cut]), (test, order[cut:])):
        artifact.metadata["samples"] = len(part)
        with open(artifact.path, "wb") as file:
            np.savez(file, x=x[part].astype("float32"), y=y[part].astype("int64"))
    print(f"{source}: {len(y)} images of {x.shape[1]} values, {len(np.unique(y))} classes")
    return len(y)


def train(data: In[Dataset], model_type: str, options: dict, model: Out[Model]) -> float:
    """Fit a scikit-learn model; returns the seconds that it took."""
    import importlib
    import pickle
    import time
    import warnings

    import numpy as np
    from sklearn.exceptions import ConvergenceWarning

    # A fixed number of epochs is what the pipeline asks for.
    warnings.simplefilter("ignore", ConvergenceWarning)
    module, name = {
        "linear_regression": ("linear_model", "LinearRegression"),
        "logistic_regression": ("linear_model", "LogisticRegression"),
        "decision_tree": ("tree", "DecisionTreeClassifier"),
        "random_forest": ("ensemble", "RandomForestClassifier"),
        "svm": ("svm", "SVC"),
        "nn": ("neural_network", "MLPClassifier"),
    }[model_type]
    # Numbers come through the IR as doubles; scikit-learn insists on integers for counts.
    chosen = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in options.items()}
    if model_type == "nn":
        chosen["hidden_layer_sizes"] = [int(width) for width in chosen["hidden_layer_sizes"]]
    with np.load(data.path, allow_pickle=False) as arrays:
        x, y = arrays["x"], arrays["y"]
    estimator = getattr(importlib.import_module(f"sklearn.{module}"), name)(**chosen)
    began = time.perf_counter()
    estimator.fit(x, y)
    seconds = time.perf_counter() - began
    with open(model.path, "wb") as file:
        pickle.dump(estimator, file)
    model.metadata["model"] = model_type
    print(f"{name} fitted on {x.shape[0]} x {x.shape[1]} in {seconds:.2f} s")
    return seconds


def evaluate(model: In[Model], data: In[Dataset], metrics: Out[Metrics]) -> float:
    """Accuracy on what the model has not seen. A regression counts as right when it rounds to the label."""
    import pickle

    import numpy as np

    # The artifact was made by the task before; never unpickle what you do not trust.
    with open(model.path, "rb") as file:
        estimator = pickle.load(file)
    with np.load(data.path, allow_pickle=False) as arrays:
        x, y = arrays["x"], arrays["y"]
    accuracy = float((np.rint(estimator.predict(x)) == y).mean())
    metrics.log_metric("accuracy", accuracy)
    metrics.log_metric("samples", len(y))
    print(f"accuracy {accuracy:.4f} on {len(y)} samples")
    return accuracy


@dataclass(frozen=True, kw_only=True)
class Table:
    """A tabular data set in the shape of a well-known one; `scale` is the part of its rows that is made by default."""

    name: str
    rows: int
    features: int
    classes: int
    scale: float = 1.0
    balance: float = 1.0
    source: str = "generated"

    def arguments(self) -> dict[str, Any]:
        """What `prepare_table` is called with, besides the scale."""
        return {
            "source": self.source, "rows": self.rows, "features": self.features, "classes": self.classes,
            "balance": self.balance,
        }  # fmt: skip

    def hints(self) -> dict[str, Any]:
        """What is really made at the default scale."""
        made = (
            self.rows if self.source != "generated" else max(self.classes * 20, int(self.rows * self.scale))
        )
        return {
            "name": self.name, "kind": "tabular", "samples": made, "features": self.features,
            "classes": self.classes, "types": {"float32": self.features},
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Images:
    """An image data set in the shape of a well-known one; `scale` is the part of its images that is made by default."""

    name: str
    count: int
    side: int
    channels: int
    classes: int
    scale: float = 1.0
    noise: float = 100.0
    source: str = "generated"

    def arguments(self) -> dict[str, Any]:
        """What `prepare_images` is called with, besides the scale."""
        return {
            "source": self.source, "count": self.count, "side": self.side, "channels": self.channels,
            "classes": self.classes, "noise": self.noise,
        }  # fmt: skip

    def hints(self) -> dict[str, Any]:
        """What is really made at the default scale."""
        made, values = max(self.classes * 20, int(self.count * self.scale)), self.side**2 * self.channels
        return {
            "name": self.name, "kind": "images", "samples": made, "features": values, "classes": self.classes,
            "types": {"uint8": values}, "size_bytes": made * values, "normalised": False,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The three tasks of one pipeline."""

    prepare: Callable[..., Any]
    train: Callable[..., Any]
    evaluate: Callable[..., Any]


def steps_for(data: Table | Images, model: str, **parameters: Any) -> Steps:
    """Tasks that say what they work on. `parameters` are the model's, by the names that the effort estimates know."""
    dataset, profile = data.hints(), {"type": model, "parameters": parameters}
    prepare = prepare_table if isinstance(data, Table) else prepare_images
    return Steps(
        prepare=task(kind="preprocessing", dataset=dataset, resources=Resources(cpu=0.5, memory="200Mi"))(
            prepare
        ),
        train=task(
            kind="training",
            dataset=dataset,
            model=profile,
            resources=Resources(cpu=1, memory="300Mi"),
            retries=1,
        )(train),
        evaluate=task(
            kind="evaluation", dataset=dataset, model=profile, resources=Resources(cpu=0.5, memory="250Mi")
        )(evaluate),
    )
