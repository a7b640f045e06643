"""Network attacks in the shape of UNSW-NB15."""

from steps import Table, steps_for

from nodewise.sdk import pipeline

UNSW = Table(name="unsw_nb15", rows=257_673, features=42, classes=10, scale=0.05, balance=0.7)

RANDOM_FOREST = {"n_estimators": 30, "max_depth": 12}
NN = {"hidden_layer_sizes": [64, 32], "max_iter": 30}
SVM = {"kernel": "rbf"}


@pipeline(name="unsw-nb15-random-forest")
def unsw_nb15_random_forest(scale: float = UNSW.scale):
    steps = steps_for(UNSW, "random_forest", **RANDOM_FOREST)
    data = steps.prepare(**UNSW.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="random_forest", options=RANDOM_FOREST)
    steps.evaluate(model=fitted.model, data=data.test)


@pipeline(name="unsw-nb15-nn")
def unsw_nb15_nn(scale: float = UNSW.scale):
    steps = steps_for(UNSW, "nn", **NN)
    data = steps.prepare(**UNSW.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="nn", options=NN).prefer(accelerator="gpu")
    steps.evaluate(model=fitted.model, data=data.test)


@pipeline(name="unsw-nb15-svm")
def unsw_nb15_svm(scale: float = UNSW.scale):
    steps = steps_for(UNSW, "svm", **SVM)
    data = steps.prepare(**UNSW.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="svm", options=SVM)
    steps.evaluate(model=fitted.model, data=data.test)
