"""The options of a training: one for each of its settings, whose defaults they take over."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast, final

from cyclopts import CoercionError, Group, Parameter, Token

from plainnet.config import OptimizerName, ScheduleName, TrainConfig
from plainnet.errors import PlainnetError
from plainnet.search.space import SEARCHED

if TYPE_CHECKING:
    from plainnet.data.column_kinds import ColumnKind


def _whole(kind: object, tokens: Sequence[Token]) -> int | tuple[int, ...]:
    """Read whole numbers; 2.9 epochs are a mistake, not 3."""
    try:
        numbers = tuple(int(token.value) for token in tokens)
    except ValueError:
        wrong = next(token for token in tokens if not token.value.lstrip("+-").isdecimal())
        raise CoercionError(token=wrong, target_type=int) from None
    return numbers[0] if kind is int else numbers


_D = TrainConfig()
PICTURES_HIDDEN = (8, 8, 8)
_DATA = Parameter(group=Group("Data", sort_key=1), negative="")
_NETWORK = Parameter(group=Group("Network", sort_key=2), negative="")
_TRAINING = Parameter(group=Group("Training", sort_key=3), negative="")
_WHOLE = Parameter(converter=_whole)
_MANY = Parameter(consume_multiple=True)
_QUIET = Parameter(show_default=False)
_NO = Parameter(negative="--no-fingerprints")
_NO_STANDARDIZE = Parameter(negative="--no-standardize")
_WORDS = Parameter(show_default=" ".join)
ConfigFile = Annotated[Path | None, Parameter(name="--config")]


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of ``plainnet train``, which become `plainnet.config.TrainConfig`.

    Those that ``plainnet search`` searches are None where they are not given.

    Attributes
    ----------
    target
        Column to predict; repeat it for several. [default: the last column]
    task
        binary, multiclass, multilabel or regression. By default what the target looks like: two
        values are binary, cells with semicolons multilabel; numbers with a fraction, or more than
        10 whole ones in equal steps, are a regression; else it is multiclass.
    kind
        COLUMN=KIND, repeatable; number, category, yesno, or identifier to leave the column out.
    size
        Side of the pictures in pixels. [default: 64]
    strict
        Stop at a picture that cannot be used, instead of leaving it out.
    standardize
        Scale numbers and pixels to mean 0 and variance 1; off, they enter as they are.
    fingerprints
        Keep a few bits a training row, to tell later which share of other rows is among them.
    min_level_count
        Levels of a category in fewer training rows count as unknown. [default: 1]
    private
        Leave out of the model file what would reveal single rows: fingerprints, notes, levels
        in fewer than 10 rows, and the ends of ranges.
    test_fraction
        Share of the rows that is held out to judge by.
    validation_fraction
        Share of the rows that is held out to watch, and to stop by with --patience.
    group_duplicates
        Keep equal or nearly equal rows, and pictures that look alike, on one side of the split.
    hidden
        Units of each hidden layer, or nothing for none. [default: 16; for pictures 8 8 8]
    activation
        One for all hidden layers or one for each: relu, tanh, gelu, silu, elu, leaky_relu, ...
    init
        How the weights begin: he_normal, he_uniform, xavier_normal, lecun_normal, orthogonal, ...
    dropout
        Rate of dropout after each hidden layer. [default: 0.0]
    batch_norm
        Normalize each hidden layer over the batch.
    layer_norm
        Normalize each hidden layer over its units.
    loss
        Huber or MeanSquaredError for a regression; the other tasks have one loss each.
    label_smoothing
        Share of the label that is spread over all classes.
    optimizer
        How the weights move.
    lr
        Learning rate. [default: 0.1 for sgd, 0.001 for the others]
    momentum
        Of sgd.
    nesterov
        Look ahead with the momentum of sgd.
    weight_decay
        Of adamw. [default: 0.01]
    schedule
        How the learning rate goes; step and exponential halve it each tenth of the training.
    warmup
        Epochs in which the learning rate rises to its first value.
    epochs
        How often each training row is seen.
    batch_size
        Rows in a mini-batch; 0 takes all rows at once. [default: 32]
    l2
        Weight of the L2 penalty. [default: 0.0]
    clip_norm
        Largest norm of the gradient.
    class_weight
        balanced: weight classes inversely to their frequency.
    patience
        Stop after so many epochs without a lower validation loss, and go back to the best.
    seed
        Where all chance comes from; the same seed gives the same model file.
    """

    target: Annotated[tuple[str, ...], _DATA, _QUIET] = _D.target
    task: Annotated[str | None, _DATA] = _D.task
    kind: Annotated[tuple[str, ...], _DATA, _QUIET] = ()
    size: Annotated[int | None, _DATA, _WHOLE] = None
    strict: Annotated[bool, _DATA, _QUIET] = _D.strict
    standardize: Annotated[bool, _DATA, _NO_STANDARDIZE, _QUIET] = _D.standardize
    fingerprints: Annotated[bool, _DATA, _NO, _QUIET] = _D.fingerprints
    min_level_count: Annotated[int | None, _DATA, _WHOLE] = _D.min_level_count
    private: Annotated[bool, _DATA, _QUIET] = _D.private
    test_fraction: Annotated[float, _DATA] = _D.test_fraction
    validation_fraction: Annotated[float, _DATA] = _D.validation_fraction
    group_duplicates: Annotated[bool, _DATA, _QUIET] = _D.group_duplicates
    hidden: Annotated[tuple[int, ...] | None, _NETWORK, _MANY, _WHOLE] = None
    activation: Annotated[tuple[str, ...], _NETWORK, _MANY, _WORDS] = _D.activation
    init: Annotated[str, _NETWORK] = _D.init
    dropout: Annotated[float | None, _NETWORK] = None
    batch_norm: Annotated[bool, _NETWORK, _QUIET] = _D.batch_norm
    layer_norm: Annotated[bool, _NETWORK, _QUIET] = _D.layer_norm
    loss: Annotated[str | None, _TRAINING] = _D.loss
    label_smoothing: Annotated[float, _TRAINING] = _D.label_smoothing
    optimizer: Annotated[OptimizerName, _TRAINING] = _D.optimizer
    lr: Annotated[float | None, _TRAINING] = _D.lr
    momentum: Annotated[float, _TRAINING] = _D.momentum
    nesterov: Annotated[bool, _TRAINING, _QUIET] = _D.nesterov
    weight_decay: Annotated[float | None, _TRAINING] = _D.weight_decay
    schedule: Annotated[ScheduleName, _TRAINING] = _D.schedule
    warmup: Annotated[int, _TRAINING, _WHOLE] = _D.warmup
    epochs: Annotated[int, _TRAINING, _WHOLE] = _D.epochs
    batch_size: Annotated[int | None, _TRAINING, _WHOLE] = None
    l2: Annotated[float | None, _TRAINING] = None
    clip_norm: Annotated[float | None, _TRAINING] = _D.clip_norm
    class_weight: Annotated[Literal["balanced"] | None, _TRAINING] = _D.class_weight
    patience: Annotated[int, _TRAINING, _WHOLE] = _D.patience
    seed: Annotated[int, _TRAINING, _WHOLE] = _D.seed

    def config(self, path: Path) -> TrainConfig:
        """Return the settings of a training on what lies at a path.

        Parameters
        ----------
        path : Path
            A table, or a folder of pictures, which has another network by default.

        Raises
        ------
        PlainnetError
            If an option does not go with the kind of data, or --kind is not COLUMN=KIND.

        Examples
        --------
        >>> Options(epochs=5).config(Path("a.csv")).hidden
        (16,)
        """
        pictures = path.is_dir()
        if not pictures and (self.strict or self.size is not None):
            raise PlainnetError(
                f"--size and --strict are about pictures, and {str(path)!r} is not a folder of "
                "pictures: leave them out"
            )
        if pictures and self.min_level_count is not None:
            raise PlainnetError(
                f"--min-level-count is about tables, and {str(path)!r} is a folder of pictures: "
                "leave it out"
            )
        chosen = {name: value for name, value in asdict(self).items() if value is not None}
        kinds = _kinds(chosen.pop("kind"))
        if self.hidden is None and pictures:
            chosen["hidden"] = PICTURES_HIDDEN
        return TrainConfig(**chosen, kinds=kinds)

    def given(self) -> frozenset[str]:
        """Return which of the settings that a search may choose were given.

        Examples
        --------
        >>> Options(lr=0.01, dropout=0.0).given() == {"lr", "dropout"}
        True
        """
        return frozenset(name for name in SEARCHED if getattr(self, name) is not None)


def _kinds(texts: tuple[str, ...]) -> "dict[str, ColumnKind]":
    kinds: dict[str, ColumnKind] = {}
    for text in texts:
        column, equals, kind = text.rpartition("=")
        if not equals:
            raise PlainnetError(f"--kind takes COLUMN=KIND, such as age=number, got {text!r}")
        kinds[column] = cast(
            "ColumnKind", kind
        )  # the schema refuses others, and names those there are
    return kinds
