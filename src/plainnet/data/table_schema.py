"""A table's schema: what each column holds, learned from training rows and saved with the model."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Self, final

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from plainnet.data.column_kinds import (
    FEATURE_COLUMNS,
    KINDS,
    CategoryColumn,
    Column,
    ColumnKind,
    FeatureColumn,
    IndicatorColumn,
    LeftOutColumn,
    NumberColumn,
    column_from_json,
    summarize_values,
)
from plainnet.data.columns import MANY, Cells
from plainnet.data.privacy import DEFAULT_PRIVACY, Privacy, coarsened
from plainnet.data.read_table import absent_column, named
from plainnet.errors import DataError, ModelFileError
from plainnet.storage.json_reader import JsonReader, shortened

_ID_NAME = re.compile(
    r"(?i:^(row|nr|no|number|key)|(^|[^a-z])(id|uuid|guid|index|idx))$|[a-z]I[Dd]$"
)
_UNNAMED = "Unnamed: "
MATRIX = 2**27
"""The largest encoded table in numbers (0.5 GB), or `EXPANSION` per cell if that is more."""

EXPANSION = 8
_BLOCK = 2**22  # numbers that some rows become at a time
_NAMED = 5  # columns that a remark names before it counts the others
_FEW_ROWS = 10  # below, values that all differ are nothing strange


class Description(NamedTuple):
    """One line of a schema, as text for people.

    Text of the table (names, levels) is in it as it came: escape it where markup is understood.
    """

    column: str
    kind: str
    values: str
    missing: str
    encoding: str


@final
@dataclass(frozen=True)
class TableSchema:
    """What each column of a table holds, and how its cells become features.

    A number is standardized, a Yes/No becomes 1 or 0, a category is one-hot, and all 0 for a level
    that training did not see; missing cells become the median or the most frequent value, and a
    feature more says which they were, where training rows miss any. Every feature varies among the
    training rows, for nothing could be learned of another: a column with one value becomes an
    indicator of missing cells where some are missing, and is left out as a constant where none are
    or all; identifiers are left out too.

    Parameters
    ----------
    columns : tuple of Column
        In the order of the table.
    rows : int
        How many training rows the statistics come from.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": ["20", "40", None, "60"], "city": ["Oslo", "Bo", "Bo", "Bo"]})
    >>> schema = TableSchema.infer(frame)
    >>> schema.feature_names
    ('age', 'age: missing', 'city=Bo', 'city=Oslo')
    >>> notes = []
    >>> new = pd.DataFrame({"age": [40], "city": ["Rome"]})
    >>> schema.transform(new, notes)
    array([[0., 0., 0., 0.]], dtype=float32)
    >>> print(notes[0])
    Data row 1, column 'city': 'Rome' is not among the categories that the model knows; it is \
read as unknown (1 row).
    """

    columns: tuple[Column, ...]
    rows: int

    @classmethod
    def infer(
        cls,
        frame: pd.DataFrame,
        exclude: Collection[str] = (),
        kinds: Mapping[str, ColumnKind] | None = None,
    ) -> Self:
        """Find out what each column holds, and take its statistics from all rows of `frame`.

        The rule, for the values that differ: one value without a missing cell, or none, is a
        constant; one value and missing cells are an indicator. The words of one pair yes/no, y/n,
        true/false, t/f, on/off are a Yes/No. Numbers all are a number, unless one starts with a
        needless zero (`00042`), or the column's name says that it is an identifier (``id``,
        ``PassengerId``, ``index``, no name, ...) and at least 10 whole numbers all differ. If nine
        in ten of more than 20 values are numbers, the others are taken for mistakes and refused.
        Text is an identifier if at least 10 cells all differ, or more than 20 values make up more
        than half of the cells; a pandas categorical is never a number; all else is a category,
        dates too. Text is a number as `number_from_text` reads it; a comma before the fraction is
        understood where all cells of the column agree with it.

        Parameters
        ----------
        frame : pandas.DataFrame, m rows
            Cells as text or typed.
        exclude : collection of str, default ()
            Columns that are no inputs: the target, and what is to be dropped.
        kinds : mapping of str to {"number", "category", "yesno", "indicator", "identifier", \
"constant"}
            What is known better, by column; of an indicator nothing counts but whether the cell is
            missing, and the last two leave the column out.

        Returns
        -------
        TableSchema
            Call `fit` with the training rows before it is used for training.

        Raises
        ------
        DataError
            If a column holds an infinite number, or cells that the kind given does not allow; if a
            name or a kind is unknown; if no column is left.
        """
        frame = named(frame)
        kinds = {} if kinds is None else kinds
        names = frame.columns.tolist()
        _check_names(names, exclude, kinds)
        columns = tuple(
            _column(frame[name], kinds.get(name)) for name in names if name not in set(exclude)
        )
        return cls(columns, len(frame))._with_features()

    def fit(
        self, frame: pd.DataFrame, standardize: bool = True, privacy: Privacy = DEFAULT_PRIVACY
    ) -> "TableSchema":
        """Return the same kinds of columns with the statistics of `frame`, the training rows.

        Parameters
        ----------
        frame : pandas.DataFrame, m rows
            The table, or some of the rows, that the schema was inferred from.
        standardize : bool, default True
            Whether numbers are standardized, or taken as they are.
        privacy : Privacy, optional
            Which levels and values of single rows are left out; by default none.

        Returns
        -------
        TableSchema
            Medians, levels, means and deviations of these rows alone; columns that do not vary in
            them are indicators or constants.

        Raises
        ------
        DataError
            As for `infer`.
        """
        frame = self._present(frame)
        columns = [_refitted(column, frame) for column in self.columns]
        if privacy != DEFAULT_PRIVACY:
            columns = [_coarsened(column, frame, privacy) for column in columns]
        if not standardize:
            columns = [c.without_scaling() if isinstance(c, NumberColumn) else c for c in columns]
        return TableSchema(tuple(columns), len(frame))._with_features()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The name of each feature: ``age``, ``age: missing``, ``city=Bo``, ``city: unknown``."""
        return tuple(feature for column in self.columns for feature in column.features)

    @property
    def n_features(self) -> int:
        """How many features a row becomes."""
        return sum(len(column.features) for column in self.columns)

    def transform(self, frame: pd.DataFrame, notes: list[str] | None = None) -> NDArray[np.float32]:
        """Turn rows into features, as the training rows were.

        Parameters
        ----------
        frame : pandas.DataFrame, m rows
            Cells as text or typed. Columns that were left out may be absent.
        notes : list of str, optional
            Gets a sentence for whatever had to be assumed: an unknown category, a word that is
            neither Yes nor No, a missing cell in a column that had none, a column too many. At
            most five sentences a column name single values.

        Returns
        -------
        ndarray of float32, shape (m, n_features)
            All finite.

        Raises
        ------
        DataError
            If a column is absent, or a cell of a number column holds text, an infinite number or
            one out of all proportion, or the features are too many to hold. Rows are counted from
            1, below the header.
        """
        frame = self._present(frame)
        m, n = len(frame), self.n_features
        largest = max(MATRIX, EXPANSION * m * len(self.columns))
        if m * n > largest:
            raise DataError(
                f"The {m:,} rows become {n:,} numbers each, which would take {4e-9 * m * n:.1f} GB "
                f"of memory, more than {4e-9 * largest:.1f} GB; give fewer rows, or leave out "
                "columns of many levels."
            )
        X = np.zeros((m, n), np.float32)
        self._write(frame, X, notes)
        return X

    def blocks(
        self, frame: pd.DataFrame, notes: list[str] | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """Turn rows into features as `transform` does, some rows at a time.

        Parameters
        ----------
        frame, notes
            See `transform`; there is at least one block.

        Raises
        ------
        DataError
            As for `transform`, before the first block.
        """
        frame = self._present(frame)
        rows = max(1, _BLOCK // self.n_features)
        if len(frame) <= rows:
            yield self.transform(frame, notes)
            return
        # All rows are checked, and noted, with one cell in the place of all.
        nothing = as_strided(np.zeros(1, np.float32), (len(frame), self.n_features), (0, 0))
        self._write(frame, nothing, notes)
        for start in range(0, len(frame), rows):
            yield self.transform(frame.iloc[start : start + rows])

    def _write(self, frame: pd.DataFrame, X: NDArray[np.float32], notes: list[str] | None) -> None:
        """Write the features of a table that has all columns into X, which holds zeros."""
        if notes is not None:
            known = {column.name for column in self.columns}
            notes += [
                f"Column {shortened(name)} is unknown to the model and ignored."
                for name in frame.columns
                if name not in known
            ]
        start = 0
        for column in self.columns:
            if isinstance(column, FeatureColumn):
                stop = start + len(column.features)
                column.encode(Cells.read(frame[column.name]), X[:, start:stop], notes)
                start = stop

    def normalize_spelling(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take levels of a category that differ only in case or spaces for one.

        Parameters
        ----------
        X : ndarray of float32, shape (m, n_features)
            From `transform`.

        Returns
        -------
        ndarray of float32, shape (m, n_features)
            Equal rows are equal still, and rows too that differ in nothing else; X itself where no
            levels do.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"city": ["Oslo", "oslo", "Bo", "Bo"]})
        >>> schema = TableSchema.infer(frame)
        >>> schema.normalize_spelling(schema.transform(frame))[:3]
        array([[0., 1., 0.],
               [0., 1., 0.],
               [1., 0., 0.]], dtype=float32)
        """
        start, out = 0, X
        for column in self.columns:
            if isinstance(column, CategoryColumn):
                for place, other in column.spellings():
                    out = X.copy() if out is X else out
                    out[:, start + place] += out[:, start + other]
                    out[:, start + other] = 0
            start += len(column.features)
        return out

    def describe(self) -> list[Description]:
        """Return a line for each column: name, kind, values, missing cells, what becomes of it.

        Returns
        -------
        list of Description
            Five texts each; escape them where markup is understood.

        Examples
        --------
        >>> import pandas as pd
        >>> schema = TableSchema.infer(pd.DataFrame({"age": ["20", "40", None, "60"]}))
        >>> print(*schema.describe()[0], sep=" | ")
        age | number | 20 to 60, median 40 | 1 of 4 | missing = 40, marked; standardized \
(mean 40, deviation 14.14)
        """
        return [
            Description(
                column.name,
                column.kind,
                column.summary,
                f"{column.missing:,} of {self.rows:,}" if column.missing else "none",
                column.encoding,
            )
            for column in self.columns
        ]

    def remarks(self) -> list[str]:
        r"""Say which columns have no effect because training rows hold one value of them, or none.

        Examples
        --------
        >>> frame = pd.DataFrame({"age": [20, 40], "pool": [0, 0], "note": [None, None]})
        >>> print(*TableSchema.infer(frame).remarks(), sep="\n")
        column 'pool' is the same in all 2 training rows, so it is left out and has no effect
        column 'note' is empty in all 2 training rows, so it is left out and has no effect
        """
        found = []
        constant = [column for column in self.columns if column.kind == "constant"]
        for empty, how in ((False, "the same"), (True, "empty")):
            names = [c.name for c in constant if (c.missing == self.rows) == empty]
            if names:
                several = len(names) > 1
                what = "columns" if several else "column"
                which = ", ".join(shortened(name) for name in names[:_NAMED])
                more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
                rest = "so they are left out and have" if several else "so it is left out and has"
                found.append(
                    f"{what} {which}{more} {'are' if several else 'is'} {how} in all {self.rows:,} "
                    f"training rows, {rest} no effect"
                )
        return found

    def to_json(self) -> dict[str, object]:
        """Return the schema as an object for JSON; the same table gives the same text."""
        return {
            "kind": "table",
            "rows": self.rows,
            "columns": [column.to_json() for column in self.columns],
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a schema from a model file, trusting nothing in it.

        Parameters
        ----------
        value : object
            What `json.loads` made of the text.

        Returns
        -------
        TableSchema
            Equal to the one that was written.

        Raises
        ------
        ModelFileError
            If anything is absent, unknown, of the wrong type or impossible.
        """
        fields = JsonReader(value, "the table's schema")
        fields.only("kind", "rows", "columns")
        fields.text("kind", ("table",))
        rows = fields.whole("rows", low=1)
        columns = tuple(column_from_json(f, rows) for f in fields.objects("columns", "column"))
        schema = cls(columns, rows)
        if len({column.name for column in columns}) < len(columns) or schema.n_features == 0:
            raise ModelFileError(
                "The model file is damaged or was edited: the columns of the table's schema should "
                "have different names and at least one feature."
            )
        return schema

    def _with_features(self) -> Self:
        """Return the schema if it has features to learn from."""
        if self.n_features == 0:
            raise DataError(
                f"No column is left to learn from: {_left_out(self.columns)}; "
                "give the table more columns, or say what kind one of them is."
            )
        return self

    def _present(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return `frame` if it has the columns that become features."""
        frame = named(frame)
        present = frame.columns.tolist()
        known = set(present)
        for column in self.columns:
            if isinstance(column, FeatureColumn) and column.name not in known:
                raise absent_column(column.name, present, "which the model was trained with")
        return frame


def _check_names(
    names: list[str], exclude: Collection[str], kinds: Mapping[str, ColumnKind]
) -> None:
    for name in exclude:
        if name not in names:
            raise absent_column(name, names, "to be left out")
    for name, kind in kinds.items():
        if name not in names:
            raise absent_column(name, names, f"to be read as {kind}")
        if kind not in KINDS:
            raise DataError(
                f"Column {shortened(name)} cannot be of kind {shortened(kind)}; "
                f"the kinds are {', '.join(KINDS)}."
            )


def _column(series: pd.Series, kind: ColumnKind | None) -> Column:
    """Return a column with its statistics; infer its kind unless it is given."""
    cells = Cells.read(series)
    if kind is None:
        one_value = len(cells.distinct) <= 1 and cells.missing in (0, len(cells.codes))
        categorical = isinstance(series.dtype, pd.CategoricalDtype)
        kind = "constant" if one_value else _inferred_kind(cells, categorical)
    if kind == "identifier":
        values = f"{len(cells.distinct):,} different in {len(cells.codes):,} rows"
        return LeftOutColumn(cells.name, cells.missing, kind, values)
    if kind == "constant":
        return LeftOutColumn(cells.name, cells.missing, kind, summarize_values(cells))
    return _fitted(cells, FEATURE_COLUMNS[kind].fit)


def _fitted(cells: Cells, fit: Callable[[Cells], FeatureColumn]) -> Column:
    """Fit a column to training cells; leave its values out if they do not vary."""
    values = summarize_values(cells)
    if len(cells.distinct):
        column = fit(cells)
        if column.varies:
            return column
        values = column.summary if len(cells.distinct) > 1 else values
    if 0 < cells.missing < len(cells.codes):
        return IndicatorColumn(cells.name, cells.missing, values)
    return LeftOutColumn(cells.name, cells.missing, "constant", values)


def _inferred_kind(cells: Cells, categorical: bool) -> ColumnKind:
    """Infer the kind of a column from its cells; see `TableSchema.infer`."""
    if cells.are_yes_no():
        return "yesno"
    present = len(cells.codes) - cells.missing
    all_differ = len(cells.distinct) == present >= _FEW_ROWS
    if not categorical and cells.are_numbers():
        numbers = cells.numbers(cells.decimal())
        whole = bool(np.all(numbers == np.round(numbers)))
        named_id = _ID_NAME.search(cells.name) or cells.name.startswith(_UNNAMED)
        return "identifier" if named_id and whole and all_differ else "number"
    if all_differ or len(cells.distinct) > max(MANY, present / 2):
        return "identifier"
    return "category"


def _refitted(column: Column, frame: pd.DataFrame) -> Column:
    """Return a column with the statistics of `frame`; of one left out, only its missing cells."""
    if isinstance(column, FeatureColumn):
        fit: Callable[[Cells], FeatureColumn] = FEATURE_COLUMNS[column.kind].fit
        if isinstance(column, NumberColumn):
            fit = partial(NumberColumn.fit, decimal=column.decimal)
        return _fitted(Cells.read(frame[column.name]), fit)
    known = column.name in frame.columns
    return replace(column, missing=Cells.read(frame[column.name]).missing if known else 0)


def _coarsened(column: Column, frame: pd.DataFrame, privacy: Privacy) -> Column:
    if not isinstance(column, FeatureColumn):
        return column
    return coarsened(column, Cells.read(frame[column.name]), privacy)


def _left_out(columns: tuple[Column, ...]) -> str:
    kinds = [
        f"{shortened(column.name)} is left out as {column.kind} ({column.summary})"
        for column in columns[:_NAMED]
    ]
    return ", ".join(kinds) if kinds else "there is none besides those excluded"
