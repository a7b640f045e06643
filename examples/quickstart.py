"""The smallest useful pipeline. Run it: `nodewise submit examples/quickstart.py -p depth=4 --watch`."""

# ruff: noqa: PLC0415, PTH123 (a task travels as the source of its function: imports stay in its body)
from nodewise.sdk import Dataset, In, Model, Out, Resources, pipeline, task


@task(kind="preprocessing", resources=Resources(cpu=0.5, memory="200Mi"))
def load(flowers: Out[Dataset]) -> int:
    """Write the iris data set, and say how many flowers it has."""
    import numpy as np
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    with open(flowers.path, "wb") as file:
        np.savez(file, x=x, y=y)
    print(f"{len(y)} flowers, {x.shape[1]} measures each")
    return len(y)


@task(kind="training", model={"type": "decision_tree"}, resources=Resources(cpu=1, memory="300Mi"), retries=1)
def fit(flowers: In[Dataset], depth: int, tree: Out[Model]) -> float:
    """Fit a decision tree to two thirds of the flowers; the accuracy on the others."""
    import pickle

    import numpy as np
    from sklearn.tree import DecisionTreeClassifier

    data = np.load(flowers.path)
    seen = np.arange(len(data["y"])) % 3 > 0
    classifier = DecisionTreeClassifier(max_depth=depth).fit(data["x"][seen], data["y"][seen])
    with open(tree.path, "wb") as file:
        pickle.dump(classifier, file)
    print(f"fitted {classifier.get_n_leaves()} leaves to {seen.sum()} flowers")
    return float(classifier.score(data["x"][~seen], data["y"][~seen]))


@pipeline(name="quickstart")
def quickstart(depth: int = 3):
    """Load, then fit. Each task runs where the strategy puts it."""
    loaded = load()
    fit(flowers=loaded.flowers, depth=depth)
