"""Card payments in the shape of the credit card fraud data set: very unbalanced (here one fraud in fifty)."""

from steps import Table, steps_for

from nodewise.sdk import pipeline

CREDIT_CARD = Table(name="credit_card", rows=284_807, features=30, classes=2, scale=0.1, balance=0.02)

LOGISTIC_REGRESSION = {"max_iter": 200}
SVM = {"kernel": "rbf"}
DECISION_TREE = {"max_depth": 10}
RANDOM_FOREST = {"n_estimators": 20, "max_depth": 10}


@pipeline(name="credit-card-logistic-regression")
def credit_card_logistic_regression(scale: float = CREDIT_CARD.scale):
    steps = steps_for(CREDIT_CARD, "logistic_regression", **LOGISTIC_REGRESSION)
    data = steps.prepare(**CREDIT_CARD.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="logistic_regression", options=LOGISTIC_REGRESSION)
    steps.evaluate(model=fitted.model, data=data.test)


@pipeline(name="credit-card-svm")
def credit_card_svm(scale: float = CREDIT_CARD.scale):
    steps = steps_for(CREDIT_CARD, "svm", **SVM)
    data = steps.prepare(**CREDIT_CARD.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="svm", options=SVM)
    steps.evaluate(model=fitted.model, data=data.test)


@pipeline(name="credit-card-decision-tree")
def credit_card_decision_tree(scale: float = CREDIT_CARD.scale):
    steps = steps_for(CREDIT_CARD, "decision_tree", **DECISION_TREE)
    data = steps.prepare(**CREDIT_CARD.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="decision_tree", options=DECISION_TREE)
    steps.evaluate(model=fitted.model, data=data.test)


@pipeline(name="credit-card-random-forest")
def credit_card_random_forest(scale: float = CREDIT_CARD.scale):
    steps = steps_for(CREDIT_CARD, "random_forest", **RANDOM_FOREST)
    data = steps.prepare(**CREDIT_CARD.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="random_forest", options=RANDOM_FOREST)
    steps.evaluate(model=fitted.model, data=data.test)
