"""Larger colour images, few of them, in the shape of Citrus Leaves."""

from steps import Images, steps_for

from nodewise.sdk import pipeline

LEAVES = Images(name="citrus_leaves", count=600, side=64, channels=3, classes=5, noise=90.0)

NN = {"hidden_layer_sizes": [32], "max_iter": 40}


@pipeline(name="citrus-leaves-nn")
def citrus_leaves_nn(scale: float = LEAVES.scale):
    steps = steps_for(LEAVES, "nn", **NN)
    data = steps.prepare(**LEAVES.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="nn", options=NN).prefer(accelerator="gpu")
    steps.evaluate(model=fitted.model, data=data.test)
