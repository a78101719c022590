"""What plainnet raises when its input is wrong: each message is one sentence for a person."""


class PlainnetError(ValueError):
    """The base of every error that plainnet raises on purpose.

    The message names the thing, what was expected, what came and what to do.
    """


class DataError(PlainnetError):
    """A table, a picture or a folder that cannot be used as it is."""


class ModelFileError(PlainnetError):
    """A model file that is damaged, from another version, or not a model at all."""


class TrainingError(PlainnetError):
    """A training that cannot go on, such as one whose cost is no longer finite."""
