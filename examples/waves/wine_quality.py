"""Graded wines in the shape of Wine Quality: seven grades, whole size."""

from steps import Table, steps_for

from nodewise.sdk import pipeline

WINE = Table(name="wine_quality", rows=6_497, features=11, classes=7, balance=0.6)

DECISION_TREE = {"max_depth": 8}
LINEAR_REGRESSION = {}


@pipeline(name="wine-quality-decision-tree")
def wine_quality_decision_tree(scale: float = WINE.scale):
    steps = steps_for(WINE, "decision_tree", **DECISION_TREE)
    data = steps.prepare(**WINE.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="decision_tree", options=DECISION_TREE)
    steps.evaluate(model=fitted.model, data=data.test)


@pipeline(name="wine-quality-linear-regression")
def wine_quality_linear_regression(scale: float = WINE.scale):
    steps = steps_for(WINE, "linear_regression", **LINEAR_REGRESSION)
    data = steps.prepare(**WINE.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="linear_regression", options=LINEAR_REGRESSION)
    steps.evaluate(model=fitted.model, data=data.test)
