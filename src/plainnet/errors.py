"""What plainnet raises when its input is wrong: each message is one sentence for a person."""


class PlainnetError(ValueError):
    """The base of every error that plainnet raises on purpose.

    The message names the thing, what was expected, what came and what to do.

    Examples
    --------
    >>> from plainnet import Dense
    >>> Dense(0)
    Traceback (most recent call last):
    plainnet.errors.PlainnetError: Dense: n_out must be a whole number of at least 1, got 0
    """


class DataError(PlainnetError):
    """A table, a picture or a folder that cannot be used as it is.

    Examples
    --------
    >>> from plainnet.data.read_table import read_frame
    >>> try:
    ...     read_frame("nowhere.csv")
    ... except DataError as error:
    ...     print(error)
    File 'nowhere.csv' does not exist; check the path.
    """


class ModelFileError(PlainnetError):
    """A model file that is damaged, from another version, or not a model at all.

    Examples
    --------
    >>> from plainnet import Model
    >>> Model.load("nowhere.safetensors")
    Traceback (most recent call last):
    plainnet.errors.ModelFileError: there is no model file 'nowhere.safetensors'
    """


class TrainingError(PlainnetError):
    """A training that cannot go on, such as one whose cost is no longer finite.

    Examples
    --------
    >>> from plainnet import MeanSquaredError, fit, mlp
    >>> try:
    ...     fit(mlp(1), [[1.0], [float("nan")]], [0, 1], loss=MeanSquaredError())
    ... except TrainingError as error:
    ...     print(error)
    X holds nan in row 1, column 0: a network needs finite float32 numbers
    """
