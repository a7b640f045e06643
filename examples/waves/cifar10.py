"""Small colour images in the shape of CIFAR-10."""

from steps import Images, steps_for

from nodewise.sdk import pipeline

CIFAR10 = Images(name="cifar10", count=60_000, side=32, channels=3, classes=10, scale=0.05, noise=170.0)

NN = {"hidden_layer_sizes": [64], "max_iter": 25}


@pipeline(name="cifar10-nn")
def cifar10_nn(scale: float = CIFAR10.scale):
    steps = steps_for(CIFAR10, "nn", **NN)
    data = steps.prepare(**CIFAR10.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="nn", options=NN).prefer(accelerator="gpu")
    steps.evaluate(model=fitted.model, data=data.test)
