"""Breast tumours, benign or not: the real data set that scikit-learn carries."""

from steps import Table, steps_for

from nodewise.sdk import pipeline

TUMOURS = Table(name="breast_cancer", rows=569, features=30, classes=2, source="breast_cancer")

SVM = {"kernel": "linear"}


@pipeline(name="breast-cancer-svm")
def breast_cancer_svm(scale: float = TUMOURS.scale):
    steps = steps_for(TUMOURS, "svm", **SVM)
    data = steps.prepare(**TUMOURS.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="svm", options=SVM)
    steps.evaluate(model=fitted.model, data=data.test)
