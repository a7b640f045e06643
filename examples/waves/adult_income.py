"""Incomes in the shape of the census data set Adult: two classes, one in four rich."""

from steps import Table, steps_for

from nodewise.sdk import pipeline

ADULT = Table(name="adult_income", rows=48_842, features=14, classes=2, scale=1.0, balance=0.32)

DECISION_TREE = {"max_depth": 10}
LOGISTIC_REGRESSION = {"max_iter": 200}


@pipeline(name="adult-income-decision-tree")
def adult_income_decision_tree(scale: float = ADULT.scale):
    steps = steps_for(ADULT, "decision_tree", **DECISION_TREE)
    data = steps.prepare(**ADULT.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="decision_tree", options=DECISION_TREE)
    steps.evaluate(model=fitted.model, data=data.test)


@pipeline(name="adult-income-logistic-regression")
def adult_income_logistic_regression(scale: float = ADULT.scale):
    steps = steps_for(ADULT, "logistic_regression", **LOGISTIC_REGRESSION)
    data = steps.prepare(**ADULT.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="logistic_regression", options=LOGISTIC_REGRESSION)
    steps.evaluate(model=fitted.model, data=data.test)
