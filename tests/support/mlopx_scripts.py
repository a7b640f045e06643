"""Pipelines in the form of the seed's client, mlopx: three components, a volume, metadata. They need nothing but Python."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodewise.core.compat.mlopx import Converted, read_upload

PREPROCESSING = """from mlopx.pipelines.artifacts import OutputDataset


def data_preprocessing(
    dataset_path: str,
    train_ds: OutputDataset,
    test_ds: OutputDataset
):
    import csv

    with open(dataset_path, newline="") as file:
        rows = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
    cut = len(rows) * 4 // 5
    for part, target in ((rows[:cut], train_ds), (rows[cut:], test_ds)):
        with open(target.path, "w", newline="") as file:
            csv.writer(file).writerows(part)
    print("saved as artifacts")
"""

TRAINING = """from mlopx.pipelines.artifacts import InputDataset, OutputModel


def model_training(
    train_ds: InputDataset,
    model_artifact: OutputModel
):
    import csv
    import json
    import os

    with open(train_ds.path, newline="") as file:
        points = [(float(x), float(y)) for x, y in csv.reader(file)]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    os.makedirs(model_artifact.path, exist_ok=True)
    with open(model_artifact.path + "/model.json", "w") as file:
        json.dump({"slope": slope, "offset": mean_y - slope * mean_x}, file)
"""

EVALUATION = """from mlopx.pipelines.artifacts import InputModel, InputDataset
from typing import Dict, Any


def model_evaluation(
    model_artifact: InputModel,
    test_ds: InputDataset
) -> Dict[str, Any]:
    import csv
    import json

    with open(model_artifact.path + "/model.json") as file:
        model = json.load(file)
    with open(test_ds.path, newline="") as file:
        errors = [float(y) - model["offset"] - model["slope"] * float(x) for x, y in csv.reader(file)]
    return {"mse": sum(error**2 for error in errors) / len(errors), "slope": round(model["slope"], 6)}
"""

COMPONENTS = {
    "data_preprocessing": PREPROCESSING,
    "model_training": TRAINING,
    "model_evaluation": EVALUATION,
}

SCRIPT = """from mlopx.pipelines import Pipeline, Component

from data_preprocessing import data_preprocessing
from model_training import model_training
from model_evaluation import model_evaluation


BASE_IMAGE = "registry.localhost/kfp_base"

component_1 = Component(
    func=data_preprocessing,
    image=BASE_IMAGE,
    args={
        "dataset_path": "/mnt/datasets/line/points.csv"
    }
)

component_1.mount_volume(
    pvc="datasets-pvc",
    mount_path="/mnt/datasets"
)

component_2 = Component(
    image=BASE_IMAGE,
    func=model_training,
    args={}
)

component_3 = Component(
    image=BASE_IMAGE,
    func=model_evaluation,
    args={}
)

pipeline = Pipeline(name="line_lr", metadata_file="metadata.json")
pipeline.add([component_1, component_2, component_3])
pipeline.submit("SERVER")
"""

LINEAR: dict[str, Any] = {
    "components_type": {
        "data_preprocessing": "preprocessing",
        "model_training": "training",
        "model_evaluation": "evaluation",
    },
    "dataset": {
        "name": "line",
        "type": "tabular",
        "train_percentage": 0.8,
        "val_percentage": 0,
        "test_percentage": 0.2,
        "original": {"n_samples": 500, "n_features": 2, "n_classes": 1, "data_types": {"float64": 2}},
        "preprocessed": {"n_samples": 400, "n_features": 2, "n_classes": 1, "data_types": {"float64": 2}},
    },
    "model": {"type": "linear_regression", "params": {"solver": "ols"}},
}

CNN: dict[str, Any] = {
    **LINEAR,
    "dataset": {
        "name": "line",
        "type": "image",
        "train_percentage": 0.75,
        "test_percentage": 0.25,
        "normalized": False,
        "original": {"n_samples": 1000, "input_shape": [28, 28, 1], "n_classes": 10},
        "preprocessed": {"n_samples": 1000, "input_shape": [28, 28, 1], "n_classes": 10},
    },
    "model": {
        "type": "cnn",
        "params": {
            "n_epochs": 7,
            "batch_size": 32,
            "layers": [
                {"type": "Conv2D", "input_shape": [28, 28, 1], "output_shape": [26, 26, 32], "params": 320,
                 "kernel_size": [3, 3], "strides": [1, 1]},
                {"type": "MaxPooling2D", "input_shape": [26, 26, 32], "output_shape": [13, 13, 32], "pool_size": [2, 2]},
                {"type": "Conv2D", "input_shape": [13, 13, 32], "output_shape": [11, 11, 64], "params": 18496,
                 "kernel_size": [3, 3], "strides": [1, 1]},
                {"type": "Flatten", "input_shape": [11, 11, 64], "output_shape": [7744], "params": 0},
                {"type": "Dense", "input_shape": [7744], "output_shape": [128], "params": 991360},
                {"type": "Dense", "input_shape": [128], "output_shape": [10], "params": 1290},
            ],
        },
    },
}  # fmt: skip


def points(rows: int = 500) -> str:
    """A table whose slope is 3 and whose offset is 1."""
    return "x,y\n" + "".join(f"{x},{3 * x + 1}\n" for x in range(rows))


def write_project(folder: Path, *, server: str, metadata: Mapping[str, Any] | None = None) -> Path:
    """Put a project of mlopx there, as its user has it; returns the script."""
    for name, text in COMPONENTS.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    (folder / "metadata.json").write_text(json.dumps(metadata or LINEAR), encoding="utf-8")
    script = folder / "pipeline.py"
    script.write_text(SCRIPT.replace("SERVER", server), encoding="utf-8")
    return script


def read(
    *,
    script: str | bytes = SCRIPT,
    components: Mapping[str, str | bytes] | None = None,
    metadata: Any = None,
    name: str = "line_lr",
) -> Converted:
    """What the gateway makes of these; by default the project above."""
    files = COMPONENTS if components is None else components
    return read_upload(
        name=name,
        components=[(f"{stem}.py", _bytes(text)) for stem, text in files.items()],
        pipeline=_bytes(script),
        metadata=metadata if isinstance(metadata, bytes) else json.dumps(metadata or LINEAR).encode(),
    )


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
