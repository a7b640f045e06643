"""The types that mark a component's arguments as artifacts. An artifact has a `path` to read from or to write to."""


class InputDataset:
    """A data set that another component made, under an output argument of the same name."""


class OutputDataset:
    """A data set that this component makes."""


class InputModel:
    """A model that another component made, under an output argument of the same name."""


class OutputModel:
    """A model that this component makes."""
