"""Data larger than memory: two passes over a table, from files to a cache of encoded rows.

The first pass, a `Survey`, makes the schema. The second writes encoded rows to a `RowCache`, from
which `fit` reads them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from plainnet.data.dataset import Dataset, Examples
from plainnet.data.images import Progress
from plainnet.data.row_cache import RowCache, fingerprint
from plainnet.data.survey import (
    TEST,
    TRAIN,
    VALIDATION,
    StreamOptions,
    Survey,
    draw_parts,
    most_rows,
    rows_of,
    survey_of,
)
from plainnet.data.table import Table
from plainnet.data.table_schema import TableSchema
from plainnet.data.table_stream import TableStream
from plainnet.data.targets import Target
from plainnet.errors import DataError
from plainnet.formatting import count
from plainnet.storage.json_reader import JsonReader, listed
from plainnet.train.row_file import RowFile, RowLayout, RowStream

_BLOCK, _BLOCKS = 2**16, 1024  # bytes of a block at most, and blocks of a window at least
_PARTS = ("train", "validation", "test", "sample")  # the sample is one of the training rows


def note_parts(unit: str, sizes: Sequence[int], most: int) -> list[str]:
    """Note that of the rows to validate with, or to evaluate with, not all are used."""
    return [
        f"of {size:,} {unit} held out to {use} with, {most:,} are used"
        for size, use in zip(sizes, ("validate", "evaluate"), strict=True)
        if size > most
    ]


def note_absent(
    unit: str, target: Target, counts: Sequence[int], *parts: Examples | None
) -> list[str]:
    """Note classes that no row to train on has, by their counts, or none of other parts."""
    if target.task not in ("binary", "multiclass"):
        return []
    n, notes = len(target.classes), []
    numbers = [
        np.zeros(n) if p is None else np.bincount(p.y.astype(int), minlength=n) for p in parts
    ]
    uses = ("train on", "validate with", "evaluate with")
    for use, found, part in zip(uses, (counts, *numbers), (True, *parts), strict=True):
        absent = [name for name, m in zip(target.classes, found, strict=True) if not m]
        if absent and part:
            notes.append(
                f"no {unit} to {use} has the class {listed(absent)}: add {unit}s of it, or split "
                "with another --seed"
            )
    return notes


class Encoding(NamedTuple):
    """The meaning of encoded rows."""

    schema: TableSchema
    target: Target
    class_counts: tuple[int, ...]  # of the training rows
    notes: tuple[str, ...]

    @classmethod
    def from_json(cls, about: JsonReader) -> "Encoding":
        """Read the description of a cache."""
        schema = TableSchema.from_json(dict(about.part("schema").values))
        target = Target.from_json(dict(about.part("target").values))
        return cls(schema, target, about.wholes("class_counts"), about.texts("notes", False))

    def to_json(self) -> dict[str, Any]:
        """Return the description as JSON."""
        encoded = {"schema": self.schema.to_json(), "target": self.target.to_json()}
        return self._asdict() | encoded


def read_stream(
    path: Path,
    options: StreamOptions,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Read a table in two passes, or use its cached rows again; keep only samples in memory.

    The cache lies in `folder`, by default beside the data.
    """
    stream = TableStream(path, options.header)
    source = fingerprint(stream.files)
    plain = {name: value for name, value in vars(options).items() if name != "memory"}
    made_of = {"files": source, "window": options.window, **plain, "kinds": dict(options.kinds)}
    cache = RowCache(path, folder, made_of)
    cached = cache.load(Encoding.from_json)
    reused = cached is not None
    if cached is None:
        total = 2 * stream.estimated_size()[1]
        survey = survey_of(stream, options, progress, total)
        schema, target = survey.schema(), survey.target()
        _Encoder(options, survey, schema, target).write(cache, path, source, progress, total)
        cached = cache.load_written(Encoding.from_json)
    return _dataset(*cached, options, reused)


def _dataset(
    encoding: Encoding, parts: Mapping[str, RowFile], options: StreamOptions, reused: bool
) -> Dataset:
    schema, target, counts, notes = encoding
    rows = parts["train"]

    def examples(part: RowFile) -> Examples:
        X, y = part.all()
        if target.task in ("binary", "multiclass"):
            y = y[:, 0]
        return Examples(X, y.astype(np.int64) if target.task == "multiclass" else y)

    validation, test = (examples(p) if p.m else None for p in (parts["validation"], parts["test"]))
    window, n = max(1, options.window // rows.layout.row_bytes), parts["sample"].m
    sample = -(-np.arange(1, n + 1) * rows.m // n) - 1  # as `_Encoder` picks them
    return Dataset(
        schema,
        target,
        examples(parts["sample"]),
        validation,
        test,
        [*notes, *note_absent("row", target, counts, validation, test), *schema.remarks()],
        stream=RowStream(rows, window, counts, sample, reused),
    )


@final
@dataclass
class _Encoder:
    """The second pass: writes the encoded rows of each part."""

    options: StreamOptions
    survey: Survey
    schema: TableSchema
    fitted: Target
    m: int = 0
    seen: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))  # of each part
    class_counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def write(
        self, cache: RowCache, path: Path, source: Any, progress: Progress | None, total: int
    ) -> None:
        """Write all parts to a cache, unless the files changed meanwhile."""
        n, target, options = self.schema.n_features, self.fitted, self.options
        k = 1 if target.task in ("binary", "multiclass") else target.n_out
        block = min(_BLOCK, max(1, options.window // _BLOCKS))
        layout = RowLayout((n,), "float32", k, max(1, block // (4 * (n + k))))
        typed = options.header and not options.group  # groups are rows of equal text
        text = {*self.schema.text_columns, *self.survey.names} if typed else None
        stream = TableStream(path, options.header, text)
        self.most = most_rows(n + k, options.window)
        sizes = np.minimum(self.survey.sizes, [self.survey.m, self.most, self.most])
        self.class_counts = np.zeros(len(self.fitted.classes), np.int64)
        rows = int(sizes.sum() + min(self.most, sizes[TRAIN]))
        with cache.writing(layout, rows, _PARTS) as writers:
            for table in stream:
                self._add(table, writers)
                if progress is not None:
                    progress(min(self.survey.m + self.m, total), total)
            if fingerprint(stream.files) != source:
                raise DataError(
                    f"{str(path)!r} changed while it was read: wait until it is complete, and "
                    "train again."
                )
            if progress is not None:
                progress(total, total)
            counts, notes = tuple(self.class_counts.tolist()), tuple(self._notes())
            cache.finish(writers, Encoding(self.schema, target, counts, notes).to_json())

    def _add(self, table: Table, writers: Mapping[str, Any]) -> None:
        survey, m = self.survey, len(table)
        labeled = rows_of(table, survey.names)
        parts = draw_parts(self.options, survey.names, self.m, table)[labeled]
        self.m += m
        picked = [self._picked(part, int(np.count_nonzero(parts == part))) for part in range(3)]
        chosen = parts == TRAIN
        for part in (VALIDATION, TEST):
            chosen[np.flatnonzero(parts == part)[picked[part]]] = True
        rows = table.take(labeled[chosen])
        parts = parts[chosen]
        if not len(rows):
            return
        X, y = self.schema.transform(rows.without(survey.names)), self.fitted.encode(rows)
        self.class_counts += self._classes(y[parts == TRAIN])
        y = y.reshape(len(y), -1).astype(np.float32)
        for part, name in enumerate(("train", "validation", "test")):
            writers[name].add(X[parts == part], y[parts == part])
        train = np.flatnonzero(parts == TRAIN)[picked[TRAIN]]
        writers["sample"].add(X[train], y[train])

    def _picked(self, part: int, m: int) -> NDArray[np.bool_]:
        """Return which of the next m rows of a part are among those in memory, evenly spread."""
        size, number = int(self.survey.sizes[part]), self.seen[part] + np.arange(m + 1)
        self.seen[part] += m
        if size <= self.most:
            return np.ones(m, np.bool_)
        return np.asarray(np.diff(number * self.most // size) > 0)

    def _classes(self, y: NDArray[Any]) -> NDArray[np.int64]:
        n = len(self.class_counts)
        if self.fitted.task not in ("binary", "multiclass"):
            return np.zeros(n, np.int64)
        return np.bincount(y.astype(np.int64), minlength=n)

    def _notes(self) -> list[str]:
        """State how rows were split, and what was computed on a sample."""
        survey, target, most = self.survey, self.fitted, self.most
        train, *held_out = survey.sizes.tolist()
        notes = []
        if not self.options.target:
            notes.append(f"no target was named: taking the last column, {survey.names[0]!r}")
        if self.options.task is None:
            notes.append(f"no task was named: taking {target.task}; --task changes it")
        if survey.unlabeled:
            n = count(survey.unlabeled, "row")
            notes.append(f"left out without the target {listed(survey.names)}: {n}")
        notes += note_parts("rows", held_out, most)
        if train > most:
            notes.append(
                f"kinds of columns, medians (their ranks within {1 / np.sqrt(most):.1%}), "
                f"baselines, copies and the doctor's findings are those of samples of {most:,} of "
                f"the {train:,} training rows, all other statistics those of all"
            )
        for c in survey.columns.values():
            if c.error and c.levels is not None:
                notes.append(
                    f"the texts of column {c.name!r} are many: each was counted within {c.error:,} "
                    "rows"
                )
        return notes
