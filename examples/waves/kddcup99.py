"""Network intrusions in the shape of KDD Cup 99: 23 kinds of connections, the later the rarer."""

from steps import Table, steps_for

from nodewise.sdk import pipeline

KDDCUP99 = Table(name="kddcup99", rows=494_021, features=41, classes=23, scale=0.02, balance=0.8)

RANDOM_FOREST = {"n_estimators": 30, "max_depth": 12}
SVM = {"kernel": "rbf"}


@pipeline(name="kddcup99-random-forest")
def kddcup99_random_forest(scale: float = KDDCUP99.scale):
    steps = steps_for(KDDCUP99, "random_forest", **RANDOM_FOREST)
    data = steps.prepare(**KDDCUP99.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="random_forest", options=RANDOM_FOREST)
    steps.evaluate(model=fitted.model, data=data.test)


@pipeline(name="kddcup99-svm")
def kddcup99_svm(scale: float = KDDCUP99.scale):
    steps = steps_for(KDDCUP99, "svm", **SVM)
    data = steps.prepare(**KDDCUP99.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="svm", options=SVM)
    steps.evaluate(model=fitted.model, data=data.test)
