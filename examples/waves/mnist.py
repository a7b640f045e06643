"""Handwritten digits, like MNIST: the real ones that scikit-learn carries, 8 x 8 pixels each."""

from steps import Images, steps_for

from nodewise.sdk import pipeline

DIGITS = Images(name="digits", count=1_797, side=8, channels=1, classes=10, source="digits")

NN = {"hidden_layer_sizes": [64, 32], "max_iter": 60}


@pipeline(name="mnist-nn")
def mnist_nn(scale: float = DIGITS.scale):
    steps = steps_for(DIGITS, "nn", **NN)
    data = steps.prepare(**DIGITS.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="nn", options=NN).prefer(accelerator="gpu")
    steps.evaluate(model=fitted.model, data=data.test)
