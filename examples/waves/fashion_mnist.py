"""Grey images in the shape of FASHION-MNIST."""

from steps import Images, steps_for

from nodewise.sdk import pipeline

FASHION = Images(name="fashion_mnist", count=70_000, side=28, channels=1, classes=10, scale=0.08)

NN = {"hidden_layer_sizes": [64, 32], "max_iter": 25}


@pipeline(name="fashion-mnist-nn")
def fashion_mnist_nn(scale: float = FASHION.scale):
    steps = steps_for(FASHION, "nn", **NN)
    data = steps.prepare(**FASHION.arguments(), scale=scale)
    fitted = steps.train(data=data.train, model_type="nn", options=NN).prefer(accelerator="gpu")
    steps.evaluate(model=fitted.model, data=data.test)
