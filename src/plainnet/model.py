"""Model: schema, network, loss and classes: what one file holds, and predicts from raw input."""

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
from plainnet.storage.json_reader import shortened
from plainnet.storage.model_file import read_model, write_model

if TYPE_CHECKING:
    import pandas as pd

    from plainnet.data.images import ImageSchema
    from plainnet.data.table_schema import TableSchema
    from plainnet.data.targets import Target

EXTRAS = ("baseline.", "rows.")  # how the names of arrays that are no parameters begin
HEADER = {"format", "version", "network", "loss", "schema", "target", "record"}
MOST_LAYERS = 10_000
MOST_OUTPUTS = 2**27  # numbers that are predicted at once, 0.5 GB
LARGEST = 1e18  # output of a network: its square is still a float32
LONGEST_RECORD = 5_000_000  # characters: quoted in a header, and its values, fit in what is read
_REASON = 500  # characters of what is wrong with a file


@final
class Model:
    """A trained network together with all that leads to it from raw input, and from it to labels.

    Parameters
    ----------
    schema : TableSchema or ImageSchema
        What turns raw input into numbers, fitted on the training rows.
    target : Target
        The task, and what outputs mean.
    net : Sequential
        The network.
    loss : Loss
        What it was trained with; its link makes probabilities.
    record : mapping, optional
        The training record: settings, history and results, as JSON can hold them.
    extras : mapping of str to array, optional
        Further arrays of the file, float32 or float64, which are no parameters of the network;
        their names begin with one of `EXTRAS`, as no layer's does.

    Raises
    ------
    PlainnetError
        If schema, target, network and loss do not go together.

    Examples
    --------
    >>> import pandas as pd
    >>> from plainnet.training import train
    >>> from plainnet.config import TrainConfig
    >>> frame = pd.DataFrame({"hours": [1, 2, 3, 4], "passed": ["no", "no", "yes", "yes"]})
    >>> model = train(frame, TrainConfig(hidden=(), optimizer="sgd", lr=1.0, test_fraction=0)).model
    >>> new = pd.DataFrame({"hours": [1, 4]})
    >>> model.predict(new)
    array(['no', 'yes'], dtype=object)
    >>> model.predict_proba(new).round(2)  # of "yes"
    array([[0.],
           [1.]], dtype=float32)
    >>> X = model.inputs(new)  # standardized by the training rows
    >>> X.round(2)
    array([[-1.34],
           [ 1.34]], dtype=float32)
    >>> bool((model.outputs(X) == model.predict_proba(new)).all())
    True
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
        _require_few(net.layers)
        if net.n_out != target.n_out:
            raise PlainnetError(
                f"the target needs {target.n_out} outputs, the network has {net.n_out}"
            )
        if net.in_shape != (schema.n_features,):
            raise PlainnetError(
                f"the schema gives {schema.n_features} numbers a row, "
                f"the network expects shape {net.in_shape}"
            )
        self.schema, self.target, self.net, self.loss = schema, target, net, loss
        self.record, self.extras = dict(record or {}), dict(extras or {})

    @property
    def transform(self) -> Transform | None:
        """What turns a batch of pictures into rows; None for tables, which `inputs` makes ready.

        Examples
        --------
        >>> from plainnet.data.synthetic import pandas_and_bears
        >>> from plainnet.training import train
        >>> from plainnet.config import TrainConfig
        >>> X, y, classes = pandas_and_bears(20, size=16)
        >>> model = train((X, y, classes), TrainConfig(epochs=1)).model
        >>> X.dtype, model.transform(X[:2]).shape
        (dtype('uint8'), (2, 768))
        """
        from plainnet.data.images import ImageSchema

        return self.schema.transform if isinstance(self.schema, ImageSchema) else None

    def inputs(self, raw: Any, notes: list[str] | None = None) -> Array:
        """Turn raw input into what the network's batches are made of.

        Parameters
        ----------
        raw : DataFrame, path, or uint8 array of shape (m, size, size, 3)
            For a table model a frame or a file, for an image model pictures, a file, or a folder
            whose files are taken in sorted order.
        notes : list of str, optional
            Collects what a person should know, such as categories never seen before.

        Returns
        -------
        array
            float32 rows of a table, or uint8 pictures.

        Raises
        ------
        DataError
            If the input does not fit the schema; the message says row, column and value.
        """
        from plainnet.data.images import picture_files, read_files
        from plainnet.data.table_schema import TableSchema

        if isinstance(self.schema, TableSchema):
            return self.schema.transform(self._columns(raw), notes)
        if isinstance(raw, np.ndarray):
            return raw
        return read_files(picture_files(raw), self.schema.size, strict=True)[0]

    def _columns(self, raw: Any) -> "pd.DataFrame":
        """Read a table without its target."""
        from plainnet.data.read_table import read_frame

        frame = read_frame(raw, empty=True)
        return frame.drop(columns=[name for name in self.target.columns if name in frame.columns])

    def _blocks(self, raw: Any, notes: list[str] | None) -> Iterator[Array]:
        """Return what `inputs` does; of a table, some rows at a time."""
        from plainnet.data.table_schema import TableSchema

        if not isinstance(self.schema, TableSchema):
            return iter([self.inputs(raw)])
        frame = self._columns(raw)
        self._require_few_outputs(len(frame))
        return self.schema.blocks(frame, notes)

    def predict_proba(self, raw: Any, notes: list[str] | None = None) -> Array:
        """Predict probabilities, or standardized numbers for regression.

        Parameters
        ----------
        raw, notes
            See `inputs`.

        Returns
        -------
        array of shape (m, n_out)
            Binary: of the second class, in one column. Multi-class: of each class. Multi-label:
            of each label.

        Raises
        ------
        DataError
            If the input does not fit the schema; the message says row, column and value.
        """
        Z = np.concatenate([self.unchecked_logits(X) for X in self._blocks(raw, notes)])
        return self._link(_sound(Z))

    def outputs(self, X: Array) -> Array:
        """Compute the loss's link of the logits for rows that `inputs` made.

        Parameters
        ----------
        X : array
            From `inputs`, or a part of a `Dataset`.

        Returns
        -------
        array of shape (m, n_out)

        Raises
        ------
        PlainnetError
            If the rows have another shape.
        """
        return self._link(self.logits(X))

    def _link(self, Z: Array) -> Array:
        with np.errstate(over="ignore"):  # softmax of numbers far apart
            return self.loss.predictions(Z)

    def logits(self, X: Array) -> Array:
        """Compute the network's output for rows that `inputs` made.

        Parameters
        ----------
        X : array
            From `inputs`, or a part of a `Dataset`.

        Returns
        -------
        array of shape (m, n_out)
            `outputs` without the link.

        Raises
        ------
        PlainnetError
            If the rows have another shape, or an output is not finite or beyond 1e18, where a
            square overflows: only weights or rows that are out of all proportion come to that.

        Examples
        --------
        >>> import pandas as pd
        >>> from plainnet.training import train
        >>> from plainnet.config import TrainConfig
        >>> frame = pd.DataFrame({"hours": [1, 2, 3, 4], "passed": ["no", "no", "yes", "yes"]})
        >>> model = train(frame, TrainConfig(hidden=(), optimizer="sgd", lr=1.0, test_fraction=0)).model
        >>> model.logits(model.inputs(frame)).ravel() > 0
        array([False, False,  True,  True])
        """
        return _sound(self.unchecked_logits(X))

    def _require_few_outputs(self, m: int) -> None:
        """Refuse more predictions than fit in memory."""
        if m * self.target.n_out > MOST_OUTPUTS:
            raise PlainnetError(
                f"{m:,} rows have {self.target.n_out:,} predictions each, which are more than "
                f"{MOST_OUTPUTS:,} in all: give fewer rows at a time"
            )

    def unchecked_logits(self, X: Array) -> Array:
        """Compute logits without checking that they are finite."""
        self._require_few_outputs(len(X))
        with np.errstate(over="ignore", invalid="ignore"):
            return predict_logits(self.net, X, self.transform)

    def predict(self, raw: Any, notes: list[str] | None = None) -> Array:
        """Predict labels: class names, yes/no for each label, or numbers in their own unit.

        Parameters
        ----------
        raw, notes
            See `inputs`.

        Returns
        -------
        array of shape (m,) or (m, k)

        Raises
        ------
        DataError
            If the input does not fit the schema; the message says row, column and value.

        Examples
        --------
        >>> import pandas as pd
        >>> from plainnet.training import train
        >>> from plainnet.config import TrainConfig
        >>> frame = pd.DataFrame({"hours": [1, 2, 3, 4], "passed": ["no", "no", "yes", "yes"]})
        >>> model = train(frame, TrainConfig(hidden=(), optimizer="sgd", lr=1.0, test_fraction=0)).model
        >>> model.predict(pd.DataFrame({"hours": [4, 1]}))
        array(['yes', 'no'], dtype=object)
        """
        return self.target.decode(self.predict_proba(raw, notes))

    def save(self, path: str | Path) -> None:
        """Write everything to one file, whole or not at all.

        Of a record that no file could hold, the longest parts are left out, and its notes say so.

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
            "record": _fitting(self.record),
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
            _require_known(header)
            stored = _part(header, "schema")
            schema = (ImageSchema if stored.get("kind") == "image" else TableSchema).from_json(
                stored
            )
            target = Target.from_json(_part(header, "target"))
            loss = _loss(target.task, _part(header, "loss"))
            extras = {n: a for n, a in tensors.items() if n.startswith(EXTRAS)}
            own = {n: a for n, a in tensors.items() if n not in extras}
            network = _part(header, "network")
            _require_few(network.get("layers"))
            net = Sequential.from_config(network, own)
            return cls(schema, target, net, loss, _part(header, "record"), extras)
        except PlainnetError as error:
            reason = str(error)  # which may show what the file holds, however long that is
            reason = reason if len(reason) <= _REASON else reason[: _REASON - 1] + "…"
            raise ModelFileError(
                f"{str(path)!r} is not a model that can be used: {reason}"
            ) from None


def _sound(Z: Array) -> Array:
    """Return outputs whose squares are finite; refuse others."""
    sound = within(Z)
    if not sound.all():
        row = int(np.argmin(sound))
        raise PlainnetError(
            f"the network's output for row {row + 1} is {Z[row].tolist()}, which is no "
            "sensible number: its weights, or the numbers of that row, are out of all "
            "proportion"
        )
    return Z


def within(values: Array) -> Array:
    """Say for which rows all numbers are finite and at most 1e18 in size."""
    with np.errstate(invalid="ignore"):  # NaN is not
        return np.asarray((np.abs(values) <= LARGEST).all(axis=tuple(range(1, values.ndim))))


def _fitting(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Remove the longest values from a record that is too large, and note which."""
    try:
        text = json.dumps(record)
    except (TypeError, ValueError, RecursionError):  # of which `write_model` says what is wrong
        return record
    if len(text) <= LONGEST_RECORD:
        return record
    less, length, left_out = json.loads(text), len(text), []
    while length > LONGEST_RECORD:
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


def _require_few(layers: object) -> None:
    """Refuse a list of so many layers that describing them fills the memory."""
    if isinstance(layers, list | tuple) and len(layers) > MOST_LAYERS:
        raise PlainnetError(
            f"a model has at most {MOST_LAYERS:,} layers, this network has {len(layers):,}"
        )


def _require_known(header: Mapping[str, Any]) -> None:
    """Refuse parts that this version knows nothing of, rather than to read past them."""
    unknown = sorted(set(header) - HEADER)
    if unknown:
        raise ModelFileError(f"its header has the unknown part {shortened(unknown[0])}")


def _part(header: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = header.get(name)
    if not isinstance(part, dict):
        raise ModelFileError(f"its header has no {name}")
    return part


def _loss(task: str, config: Mapping[str, Any]) -> Loss:
    for kind in losses_for(task):
        if config.get("kind") == kind.__name__ and set(config) == {"kind", *kind.options}:
            return kind(**{option: config[option] for option in kind.options})
    raise ModelFileError(f"no loss for a {task} target is {dict(config)!r}")
