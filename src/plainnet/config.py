"""TrainConfig: every option of a training, declared once; ResolvedConfig: without open ones."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, final

import numpy as np

from plainnet.engine.choice import ENGINES
from plainnet.errors import PlainnetError
from plainnet.optim.optimizers import OPTIMIZERS
from plainnet.optim.schedules import SCHEDULES
from plainnet.option import checked, described, option
from plainnet.storage.json_reader import JsonReader, shortened

if TYPE_CHECKING:
    from plainnet.data.privacy import Privacy

TABLE_HIDDEN, IMAGE_HIDDEN = (16,), (8, 8, 8)  # the default of `hidden`
# The defaults that depend on the network: of a multi-layer perceptron, of a convolutional network,
# and of a tabular one. docs/tables.md tells what each of the last is worth.
MLP: dict[str, Any] = {"size": 64, "dropout": 0.0, "schedule": "constant", "epochs": 100}
MLP |= {"augment": (), "label_smoothing": 0.0, "patience": 0, "batch_size": 32}
CONVNET: dict[str, Any] = {"size": 32, "dropout": 0.3, "schedule": "onecycle", "epochs": 30}
CONVNET |= {"augment": ("shift",), "label_smoothing": 0.0, "patience": 0, "batch_size": 32}
TABULAR = MLP | {"epochs": 128, "label_smoothing": 0.05, "patience": 32, "batch_size": 256}
TABULAR_HIDDEN, FULL = (128, 128), "full"  # the batch of all rows
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([KMGT]B)", re.IGNORECASE)
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
PRIVATE_LEVEL_COUNT = 10  # the default of `min_level_count` if `private`


def _defaults(name: str) -> str:
    """Return the text of a default that depends on the network."""
    others = {"a convnet": CONVNET[name], "a tabular network": TABULAR[name]}
    differ = [f"{value} for {network}" for network, value in others.items() if value != MLP[name]]
    return "; ".join([str(MLP[name]), *differ])


_data, _network, _training = (partial(option, name) for name in ("Data", "Network", "Training"))


@dataclass(frozen=True, kw_only=True)
class Config(ABC):
    """Every option of a training. None is open: the default depends on the network or the data."""

    target: tuple[str, ...] = _data(
        (), "Column to predict; repeat it for several.", default_text="the last column"
    )
    task: str | None = _data(
        None,
        "binary, multiclass, multilabel or regression. By default it follows from the target: two "
        "values are binary, cells with semicolons multilabel; numbers with a fraction, or more "
        "than 10 whole numbers in equal steps, are a regression; all others are multiclass.",
    )
    kind: Mapping[str, str] = _data(
        dict,
        "Kind of a column where the inferred one is wrong: number, category, yesno, or identifier "
        "to leave the column out.",
    )
    header: bool = _data(
        True,
        "Read the names of the columns from the first line of a text file; otherwise they are "
        "x0, x1, ..., also in the files that the model predicts.",
    )
    size: int | None = _data(
        None, "Side of the pictures in pixels.", low=1, default_text=_defaults("size")
    )
    strict: bool = _data(False, "Stop at a picture that cannot be used, instead of leaving it out.")
    standardize: bool = _data(
        True, "Scale numbers and pixels to mean 0 and variance 1; otherwise use them unchanged."
    )
    fingerprints: bool = _data(
        True,
        "Keep a few bits of each training row in the model file, to estimate later which share of "
        "other rows it was trained on.",
    )
    min_level_count: int | None = _data(
        None,
        "Treat levels of a category in fewer training rows as unknown.",
        low=1,
        default_text=f"1, or {PRIVATE_LEVEL_COUNT} if private",
    )
    private: bool = _data(
        False,
        "Leave out of the model file all that could reveal single rows: fingerprints, notes, "
        f"levels in fewer than {PRIVATE_LEVEL_COUNT} rows, and the ends of ranges.",
    )
    memory: str | None = _data(
        None,
        "Memory for rows or pictures, such as 2GB. A larger table, or folder of pictures, is "
        "encoded once to files and read from there.",
        default_text="half of what is free",
    )
    cache_dir: str | None = _data(
        None,
        "Folder for the encoded rows or pictures of data larger than memory.",
        default_text="beside the data",
    )
    test_fraction: float = _data(0.2, "Share of the rows held out to evaluate with.", high=1)
    validation_fraction: float = _data(
        0.0,
        "Share of the rows held out to validate with after each epoch; patience needs some.",
        high=1,
    )
    group_duplicates: bool = _data(
        False,
        "Keep equal or nearly equal rows, and similar pictures, on one side of the split.",
    )
    network: Literal["auto", "mlp", "convnet", "tabular"] = _network(
        "auto",
        "Multi-layer perceptron, convolutional network for pictures, or for tables the mean of "
        "several networks, each trained without one fold of the rows; auto takes a convnet for "
        "pictures unless hidden is given, and tabular unless an option of the network or of its "
        "training is given, such as hidden, lr or epochs.",
    )
    members: int = _network(8, "Number of networks of a tabular one.", low=2)
    hidden: tuple[int, ...] | None = _network(
        None,
        "Units of each hidden layer of an mlp, or nothing for none.",
        default_text=f"{TABLE_HIDDEN[0]}; for pictures {' '.join(map(str, IMAGE_HIDDEN))}; "
        f"{' '.join(map(str, TABULAR_HIDDEN))} for a tabular network",
    )
    channels: tuple[int, ...] = _network(
        (16, 32, 64), "Output channels of each convolution of a convnet."
    )
    kernel: int = _network(3, "Side of the kernels of a convnet.", low=1)
    activation: tuple[str, ...] = _network(
        ("relu",),
        "One for all hidden layers or one for each: relu, tanh, gelu, silu, elu, leaky_relu, ...",
    )
    init: str = _network(
        "he_normal",
        "Initial weights: he_normal, he_uniform, xavier_normal, lecun_normal, orthogonal, ...",
    )
    dropout: float | None = _network(
        None,
        "Dropout rate after each hidden layer, or before the last layer of a convnet.",
        high=1,
        default_text=_defaults("dropout"),
    )
    batch_norm: bool = _network(
        False, "Normalize each hidden layer over the batch, as a convnet always does."
    )
    layer_norm: bool = _network(False, "Normalize each hidden layer over its units.")
    loss: str | None = _training(
        None, "Huber or MeanSquaredError for a regression; the other tasks have one loss each."
    )
    label_smoothing: float | None = _training(
        None,
        "Share of the label that is spread over all classes.",
        high=1,
        default_text=_defaults("label_smoothing"),
    )
    augment: tuple[str, ...] | None = _training(
        None,
        "Random changes of the training pictures: shift, flip, turn, light, or nothing for none.",
        default_text="none; shift for a convnet",
    )
    optimizer: str = _training("adam", "Update rule.", choices=OPTIMIZERS)
    lr: float | None = _training(
        None,
        "Learning rate.",
        above_low=True,
        default_text="0.1 for sgd, 0.001 for the others; 0.003 for the others of a convnet, 0.002 "
        "of a tabular network",
    )
    momentum: float = _training(0.0, "Momentum of sgd.", high=1)
    nesterov: bool = _training(False, "Use Nesterov momentum with sgd.")
    weight_decay: float | None = _training(None, "Weight decay of adamw.", default_text="0.01")
    schedule: str | None = _training(
        None,
        "How the learning rate changes; step and exponential halve it each tenth of the training.",
        choices=SCHEDULES,
        default_text=_defaults("schedule"),
    )
    warmup: int = _training(0, "Epochs in which the learning rate rises to its first value.")
    epochs: int | None = _training(
        None, "Number of passes over the training rows.", low=1, default_text=_defaults("epochs")
    )
    batch_size: int | Literal["full"] | None = _training(
        None,
        "Rows in a mini-batch; full takes all rows at once.",
        low=1,
        word=FULL,
        default_text=_defaults("batch_size"),
    )
    l2: float = _training(0.0, "Weight of the L2 penalty.")
    clip_norm: float | None = _training(
        None, "Largest norm of the gradient; longer gradients are scaled down.", above_low=True
    )
    class_weight: Literal["balanced"] | None = _training(
        None, "balanced: weight classes inversely to their frequency."
    )
    patience: int | None = _training(
        None,
        "Stop after so many epochs without a lower validation loss, and restore the best weights; "
        "0 never stops early.",
        default_text=_defaults("patience"),
    )
    engine: str = _training(
        "auto",
        "What computes the steps: numpy, or compiled, which needs the extra fast; auto compiles "
        "where it saves time.",
        choices=ENGINES,
    )
    seed: int = _training(
        0, "Seed of all randomness; the same seed gives the same model file.", high=2**1024
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            value = checked("TrainConfig", each, getattr(self, each.name))
            object.__setattr__(self, each.name, value)
        _ = self.memory_bytes  # refuses another text than a size

    @property
    def learning_rate(self) -> float:
        """The learning rate, the optimizer's default if none was given."""
        if self.lr is not None:
            return self.lr
        if self.optimizer == "sgd":
            return 0.1
        return {"convnet": 0.003, "tabular": 0.002}.get(self.network, 0.001)

    @property
    def rows_in_batch(self) -> int | None:
        """The rows of a mini-batch as `fit` takes them: None for all rows at once."""
        return self.batch_size if isinstance(self.batch_size, int) else None

    @property
    def memory_bytes(self) -> int | None:
        """The bound on memory in bytes, None if none was given."""
        return None if self.memory is None else size_in_bytes(self.memory)

    @abstractmethod
    def resolved(self, *, images: bool) -> "ResolvedConfig":
        """Fill in the open options."""


@final
@dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """Every option of a training; the same options, data and machine give the same model file.

    The command line, its TOML files, model files and the estimators take their options from here.

    Attributes
    ----------
    {attributes}

    Raises
    ------
    PlainnetError
        If a value has another type or is out of range. Scalars and arrays of NumPy become Python
        numbers and tuples; one name stands for a tuple of one.

    Examples
    --------
    >>> TrainConfig(optimizer="sgd").learning_rate
    0.1
    >>> TrainConfig(epochs=np.int64(20), hidden=np.array([8, 4]), target="price").hidden
    (8, 4)
    """

    @classmethod
    def from_json(cls, reader: JsonReader) -> Self:
        """Read options that `dataclasses.asdict` and JSON have written.

        Parameters
        ----------
        reader : JsonReader
            Of the object.

        Returns
        -------
        TrainConfig

        Raises
        ------
        PlainnetError
            If a field is absent, unknown, of another type or out of range.

        Examples
        --------
        >>> from dataclasses import asdict
        >>> import json
        >>> values = json.loads(json.dumps(asdict(TrainConfig(hidden=(4, 2)))))
        >>> TrainConfig.from_json(JsonReader(values, "the config")) == TrainConfig(hidden=(4, 2))
        True
        """
        return cls(**reader.exactly(*OPTIONS))

    def resolved(self, *, images: bool) -> "ResolvedConfig":
        """Fill in the open options; refuse a network that does not fit the data.

        Parameters
        ----------
        images : bool
            Whether the data are pictures.

        Returns
        -------
        ResolvedConfig

        Examples
        --------
        >>> TrainConfig().resolved(images=True).epochs
        30
        """
        network, hidden = self.network, self.hidden
        if network == "auto":
            network = "convnet" if images and hidden is None else "mlp"
        if network == "tabular":
            if images:
                raise PlainnetError(
                    "a tabular network is for tables, and these are pictures: take mlp"
                )
            hidden = TABULAR_HIDDEN if hidden is None else hidden
        if network == "convnet" and not images:
            raise PlainnetError("a convnet is for pictures, and these are tables: take network mlp")
        if self.augment and not images:
            raise PlainnetError("augment is for pictures, and these are tables: leave it out")
        if network == "mlp" and hidden is None:
            hidden = IMAGE_HIDDEN if images else TABLE_HIDDEN
        given = {name: value for name, value in vars(self).items() if value is not None}
        defaults = {"convnet": CONVNET, "tabular": TABULAR}.get(network, MLP)
        if self.task == "regression":  # which has no labels
            defaults = defaults | {"label_smoothing": 0.0}
        given |= {"network": network, "hidden": hidden}
        return ResolvedConfig(**(defaults | given))


OPTIONS = {each.name: each for each in fields(TrainConfig)}
TrainConfig.__doc__ = (TrainConfig.__doc__ or "").replace(
    "{attributes}", described(OPTIONS.values())
)


def _known(name: str) -> Any:
    """Declare an option of `TrainConfig` again, with a type without None."""
    return field(metadata=OPTIONS[name].metadata)


@final
@dataclass(frozen=True, kw_only=True)
class ResolvedConfig(Config):
    """The options of a training whose network and data are known."""

    size: int = _known("size")
    dropout: float = _known("dropout")
    label_smoothing: float = _known("label_smoothing")
    augment: tuple[str, ...] = _known("augment")
    schedule: str = _known("schedule")
    epochs: int = _known("epochs")
    batch_size: int | Literal["full"] = _known("batch_size")
    patience: int = _known("patience")

    def resolved(self, *, images: bool) -> "ResolvedConfig":
        """Return the options unchanged."""
        return self


def size_in_bytes(text: str) -> int:
    """Read a size of memory such as 300MB."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise PlainnetError(f"memory must be a size such as 300MB or 2GB, got {shortened(text)}")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def privacy_of(config: Config) -> "Privacy":
    """Return which levels and values of single rows a schema leaves out."""
    from plainnet.data.privacy import Privacy

    usual = PRIVATE_LEVEL_COUNT if config.private else 1
    given = config.min_level_count
    return Privacy(usual if given is None else given, config.private)


def rng(config: Config, use: int) -> np.random.Generator:
    """Return the generator of one use, which does not depend on the others."""
    return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(use,)))
