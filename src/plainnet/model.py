"""Model: schema, network, loss and classes: the content of one file; predicts from raw input."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from plainnet.engine.prediction import predict_logits
from plainnet.errors import ModelFileError, PlainnetError
from plainnet.nn.losses import Loss, losses_for
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.storage.json_reader import JsonReader
from plainnet.storage.model_file import read_model, write_model

if TYPE_CHECKING:
    from plainnet.data.images import ImageSchema
    from plainnet.data.table import Table
    from plainnet.data.table_schema import TableSchema
    from plainnet.data.targets import Target

EXTRAS = ("baseline.", "rows.")  # prefixes of the names of arrays that are no parameters
PARTS = ("format", "version", "network", "loss", "schema", "target", "record")  # of the header
MAX_LAYERS = 10_000
MAX_OUTPUTS = 2**27  # numbers that are predicted at once, 0.5 GB
LARGEST = 1e18  # output of a network: its square is still a float32
MAX_RECORD = 5_000_000  # characters; escaped in a header, they stay below its limit
_REASON = 500  # characters of the reason why a file cannot be used


@final
class Model:
    """A trained network with its schema and target: from raw input to labels or numbers.

    Parameters
    ----------
    schema : TableSchema or ImageSchema
        Turns raw input into numbers; fitted on the training rows.
    target : Target
        The task, and the meaning of outputs.
    net : Sequential
        The network.
    loss : Loss
        The loss it was trained with.
    record : mapping, optional
        The training record: config, history and results, as plain JSON.
    extras : mapping of str to array, optional
        Further float32 or float64 arrays of the file, which are no parameters of the network;
        their names begin with one of `EXTRAS`.

    Raises
    ------
    PlainnetError
        If schema, target, network and loss do not fit each other.

    Examples
    --------
    >>> import pandas as pd
    >>> from plainnet.training import train
    >>> from plainnet.config import TrainConfig
    >>> frame = pd.DataFrame({"hours": [1, 2, 3, 4], "passed": ["no", "no", "yes", "yes"]})
    >>> config = TrainConfig(hidden=(), optimizer="sgd", lr=1.0, test_fraction=0)
    >>> model = train(frame, config).model
    >>> new = pd.DataFrame({"hours": [1, 4]})
    >>> model.predict(new)
    array(['no', 'yes'], dtype=object)
    >>> model.predict_proba(new).round(2)  # of "no" and "yes"
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    >>> model.predict_logits(new).shape
    (2, 1)
    >>> model.preprocess(new).round(2)  # standardized
    array([[-1.34],
           [ 1.34]], dtype=float32)
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.safetensors")
    ...     again = Model.load(f"{folder}/model.safetensors")
    >>> again.predict(new)
    array(['no', 'yes'], dtype=object)
    """

    def __init__(
        self,
        schema: "TableSchema | ImageSchema",
        target: "Target",
        net: Sequential,
        loss: Loss,
        record: Mapping[str, Any] | None = None,
        extras: Mapping[str, Array] | None = None,
    ) -> None:
        if type(loss) not in losses_for(target.task):
            wanted = " or ".join(kind.__name__ for kind in losses_for(target.task))
            raise PlainnetError(
                f"a {target.task} target is learned with {wanted}, not {type(loss).__name__}"
            )
        _check_layers(net.layers)
        if net.n_out != target.n_out:
            raise PlainnetError(
                f"the target needs {target.n_out} outputs, the network has {net.n_out}"
            )
        if net.in_shape not in ((schema.n_features,), getattr(schema, "shape", ())):
            raise PlainnetError(
                f"the schema gives {schema.n_features} numbers a row, "
                f"the network expects shape {net.in_shape}"
            )
        self.schema, self.target, self.net, self.loss = schema, target, net, loss
        self.record, self.extras = dict(record or {}), dict(extras or {})

    @property
    def transform(self) -> Transform | None:
        """The function that turns a batch of pictures into the network's input; None for tables."""
        from plainnet.data.images import ImageSchema

        schema, shape = self.schema, self.net.in_shape
        if not isinstance(schema, ImageSchema):
            return None
        return lambda X: schema.transform(X).reshape(len(X), *shape)

    def predict(self, raw: Any, notes: list[str] | None = None) -> Array:
        """Predict labels, or numbers in their own unit.

        Parameters
        ----------
        raw, notes
            See `preprocess`.

        Returns
        -------
        array
            Binary and multi-class: class names, shape (m,). Multi-label: bool, shape (m, labels).
            Regression: float64, shape (m, targets).

        Raises
        ------
        DataError
            If the input does not fit the schema; the message names row, column and value.
        """
        return self.target.decode(self.loss.predictions(self.predict_logits(raw, notes)))

    def predict_proba(self, raw: Any, notes: list[str] | None = None) -> Array:
        """Predict probabilities, in the shape of scikit-learn.

        Parameters
        ----------
        raw, notes
            See `preprocess`.

        Returns
        -------
        array of shape (m, n_classes)
            Of each class in the order of ``target.classes``, also of two; multi-label: of each
            label.

        Raises
        ------
        DataError
            If the input does not fit the schema; the message names row, column and value.
        PlainnetError
            If the task is a regression, which has no probabilities.
        """
        if self.target.task == "regression":
            raise PlainnetError(
                "a regression model predicts numbers and has no probabilities: call predict"
            )
        A = self.loss.predictions(self.predict_logits(raw, notes))
        return np.concatenate([1 - A, A], axis=1) if self.target.task == "binary" else A

    def predict_logits(self, raw: Any, notes: list[str] | None = None) -> Array:
        """Predict logits: the outputs of the network's last layer.

        Parameters
        ----------
        raw, notes
            See `preprocess`.

        Returns
        -------
        array of shape (m, n_out)
            One column for a binary task; standardized numbers for a regression.

        Raises
        ------
        DataError
            If the input does not fit the schema; the message names row, column and value.
        PlainnetError
            If an output is not finite or beyond 1e18, where its square would overflow.
        """
        blocks = self._blocks(raw, notes)
        return _checked(np.concatenate([self.forward(X, check=False) for X in blocks]))

    def preprocess(self, raw: Any, notes: list[str] | None = None) -> Array:
        """Turn raw input into the network's input: encoded rows, or pictures of its size.

        Parameters
        ----------
        raw : DataFrame, path, or uint8 array of shape (m, size, size, 3)
            For a table model a DataFrame or a file; for a picture model pictures, a file, or a
            folder whose files are taken in sorted order.
        notes : list of str, optional
            Collects remarks for a person, such as unknown categories.

        Returns
        -------
        array
            float32 rows of a table, or uint8 pictures.

        Raises
        ------
        DataError
            If the input does not fit the schema; the message names row, column and value.
        """
        from plainnet.data.image_folder import image_files
        from plainnet.data.images import read_files, to_gray
        from plainnet.data.table_schema import TableSchema

        if isinstance(self.schema, TableSchema):
            return self.schema.transform(self._features_of(self.schema, raw), notes)
        if isinstance(raw, np.ndarray):
            gray = self.schema.channels == 1 and raw.shape[-1] == 3
            return to_gray(raw) if gray else raw
        files, channels = image_files(raw), self.schema.channels
        return read_files(files, self.schema.size, strict=True, channels=channels)[0]

    def _features_of(self, schema: "TableSchema", raw: Any) -> "Table":
        """Read a table without its target columns, which a file without a header may lack."""
        from plainnet.data.read_table import read_table

        # Without names, columns may stand elsewhere than in training.
        text = schema.text_columns if schema.header else None
        table = read_table(raw, header=schema.header, empty=True, text=text)
        names = [column.name for column in schema.columns]
        if not table.header and len(table.columns) == len(names):
            return table.renamed(names)
        return table.without(self.target.columns)

    def _blocks(self, raw: Any, notes: list[str] | None) -> Iterator[Array]:
        """Return the network's input as `preprocess` does, some rows of a table at a time."""
        from plainnet.data.table_schema import TableSchema

        if not isinstance(self.schema, TableSchema):
            return iter([self.preprocess(raw)])
        table = self._features_of(self.schema, raw)
        self._check_rows(len(table))
        return self.schema.blocks(table, notes)

    def forward(self, X: Array, check: bool = True) -> Array:
        """Compute logits for preprocessed input.

        Parameters
        ----------
        X : array
            From `preprocess`, or a part of a `Dataset`.
        check : bool, default True
            Whether to refuse outputs that are not finite, or beyond 1e18.

        Returns
        -------
        array of shape (m, n_out)

        Raises
        ------
        PlainnetError
            If the rows have another shape, or an output is refused.
        """
        self._check_rows(len(X))
        with np.errstate(over="ignore", invalid="ignore"):
            Z = predict_logits(self.net, X, self.transform)
        return _checked(Z) if check else Z

    def predictions(self, X: Array) -> Array:
        """Apply the loss's ``predictions`` to the logits of preprocessed input.

        Parameters
        ----------
        X : array
            From `preprocess`, or a part of a `Dataset`.

        Returns
        -------
        array of shape (m, n_out)
            Probabilities, of the second class in one column for a binary task; standardized numbers
            for a regression. `Target.decode` turns them into labels or numbers.

        Raises
        ------
        PlainnetError
            See `forward`.
        """
        return self.loss.predictions(self.forward(X))

    def _check_rows(self, m: int) -> None:
        """Refuse more predictions than fit in memory."""
        if m * self.target.n_out > MAX_OUTPUTS:
            raise PlainnetError(
                f"{m:,} rows have {self.target.n_out:,} predictions each, more than "
                f"{MAX_OUTPUTS:,} in all: give fewer rows at a time"
            )

    def save(self, path: str | Path) -> None:
        """Write the model to one file, atomically.

        The longest parts of a record that is too long for a file are left out, with a note in it.

        Parameters
        ----------
        path : str or Path
            Usually ending in ``.safetensors``; replaced if it exists.

        Raises
        ------
        ModelFileError
            If a parameter is not finite.
        OSError
            If the file cannot be written.
        """
        header = {
            "network": self.net.config(),
            "loss": {"kind": type(self.loss).__name__, **self.loss.config()},
            "schema": self.schema.to_json(),
            "target": self.target.to_json(),
            "record": _shortened_record(self.record),
        }
        write_model(path, {**self.extras, **self.net.params.views}, header)

    @classmethod
    def load(cls, path: str | Path) -> "Model":
        """Read a model that `save` wrote; nothing in the file is ever executed.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        Model

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, changed, or not a model.
        """
        from plainnet.data.images import ImageSchema
        from plainnet.data.table_schema import TableSchema
        from plainnet.data.targets import Target

        tensors, header = read_model(path)
        try:
            fields = JsonReader(header, "its header")
            fields.only(*PARTS)
            stored = {name: dict(fields.part(name).values) for name in PARTS[2:]}
            kind = ImageSchema if stored["schema"].get("kind") == "image" else TableSchema
            schema, target = kind.from_json(stored["schema"]), Target.from_json(stored["target"])
            loss = _loss(target.task, stored["loss"])
            extras = {n: a for n, a in tensors.items() if n.startswith(EXTRAS)}
            params = {n: a for n, a in tensors.items() if n not in extras}
            _check_layers(stored["network"].get("layers"))
            net = Sequential.from_config(stored["network"], params)
            return cls(schema, target, net, loss, stored["record"], extras)
        except PlainnetError as error:
            reason = str(error)  # may quote the file, at any length
            reason = reason if len(reason) <= _REASON else reason[: _REASON - 1] + "…"
            raise ModelFileError(
                f"{str(path)!r} is not a model that can be used: {reason}"
            ) from None


def _checked(Z: Array) -> Array:
    """Return outputs whose squares are finite; refuse others."""
    moderate = are_moderate(Z)
    if not moderate.all():
        row = int(np.argmin(moderate))
        raise PlainnetError(
            f"the network's output for row {row + 1} is {Z[row].tolist()}, which is too large to "
            "be a prediction: check the weights, and the numbers of that row"
        )
    return Z


def are_moderate(values: Array) -> Array:
    """Return for each row whether all its numbers are finite and at most 1e18 in size."""
    with np.errstate(invalid="ignore"):  # NaN is not
        if values.size and values.min() >= -LARGEST and values.max() <= LARGEST:  # needs no memory
            return np.ones(len(values), np.bool_)
        return np.asarray((np.abs(values) <= LARGEST).all(axis=tuple(range(1, values.ndim))))


def _shortened_record(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Remove the longest values from a record that is too long, and note which."""
    try:
        text = json.dumps(record)
    except (TypeError, ValueError, RecursionError):  # `write_model` refuses it with the reason
        return record
    if len(text) <= MAX_RECORD:
        return record
    less, length, left_out = json.loads(text), len(text), []
    while length > MAX_RECORD:
        size, names = max(_sizes(less))
        part = less
        for name in names[:-1]:
            part = part[name]
        del part[names[-1]]
        length -= size
        left_out.append(f"{'.'.join(names)} ({size:,} characters)")
    note = f"left out of the record, which would be too long: {', '.join(left_out)}"
    notes = less.get("notes")
    return {**less, "notes": [*(notes if isinstance(notes, list) else ()), note]}


def _sizes(part: Mapping[str, Any], *path: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the JSON length and the path of each leaf of nested objects."""
    for name, value in part.items():
        if isinstance(value, dict):
            yield from _sizes(value, *path, name)
        else:
            yield len(json.dumps(value)), (*path, name)


def _check_layers(layers: object) -> None:
    """Refuse so many layers that describing them would fill the memory."""
    if isinstance(layers, list | tuple) and len(layers) > MAX_LAYERS:
        raise PlainnetError(
            f"a model has at most {MAX_LAYERS:,} layers, this network has {len(layers):,}"
        )


def _loss(task: str, config: Mapping[str, Any]) -> Loss:
    for kind in losses_for(task):
        if config.get("kind") == kind.__name__ and set(config) == {"kind", *kind.options}:
            return kind(**{option: config[option] for option in kind.options})
    raise ModelFileError(f"no loss for a {task} target is {dict(config)!r}")
