"""The schema of a table: the kind of each column, its statistics, and its encoding as features."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self, final

import numpy as np
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
    spellings,
    summarize_values,
)
from plainnet.data.columns import MANY, Cells, in_threads
from plainnet.data.privacy import DEFAULT_PRIVACY, Privacy, coarsened
from plainnet.data.table import Table, absent_column
from plainnet.errors import DataError
from plainnet.storage.json_reader import JsonReader, damaged, listed, shortened

if TYPE_CHECKING:
    import pandas as pd

_ID_NAME = re.compile(
    r"(?i:^(row|nr|no|number|key)|(^|[^a-z])(id|uuid|guid|index|idx))$|[a-z]I[Dd]$"
)
_UNNAMED = "Unnamed: "
MAX_FEATURES = 2**27  # numbers in an encoded table (0.5 GB), or more for a table of many cells:
MAX_FEATURES_PER_CELL = 8
_BLOCK = 2**22  # numbers in a block of encoded rows
_ROWS = 8192  # at least so many are written at a time,
_NUMBERS = 2**21  # and of few columns so many numbers, which the processor's cache holds
_LISTED = 5  # columns that a remark names before it counts the others
_FEW_ROWS = 10  # in fewer, values that all differ are usual

_Span = tuple[FeatureColumn, int]  # a column, and one after its last feature


class Description(NamedTuple):
    """One line of a schema for people; names and levels in it are as in the table: escape them."""

    column: str
    kind: str
    values: str
    missing: str
    encoding: str


class InferredColumn(NamedTuple):
    """A column of a known kind, without statistics."""

    name: str
    kind: ColumnKind
    decimal: str  # of numbers


@final
@dataclass(frozen=True)
class TableSchema:
    """The columns of a table and their encoding as features, fitted on training rows.

    A number is standardized, a Yes/No becomes 1 or 0, a category is one-hot, with all 0 for an
    unknown level. Missing cells become the median or the most frequent value; where training rows
    miss some, an indicator feature marks them. A column with one value becomes an indicator if some
    cells are missing, and is left out as a constant otherwise; identifiers are left out too. So
    every feature varies among the training rows.

    Parameters
    ----------
    columns : tuple of Column
        In the order of the table.
    rows : int
        Number of training rows.
    header : bool, default True
        Whether text files have a first line of column names; otherwise they are x0, x1, ...

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
    header: bool = True

    @classmethod
    def infer(
        cls,
        frame: "pd.DataFrame | Table",
        exclude: Collection[str] = (),
        kinds: Mapping[str, ColumnKind] | None = None,
    ) -> Self:
        """Infer the kind of each column, and compute its statistics from all rows of `frame`.

        The first rule that fits decides:

        - One distinct value, or none, without missing cells: constant; with some: indicator.
        - Words of one pair yes/no, y/n, true/false, t/f, on/off: Yes/No.
        - Numbers without leading zeros (`00042`): number; but identifier if the column's name says
          so (``id``, ``PassengerId``, ``index``, no name, ...) and at least 10 whole numbers all
          differ. If nine in ten of more than 20 distinct values are numbers, the others are
          refused as mistakes.
        - At least 10 cells that all differ, or more than 20 distinct values in more than half as
          many cells: identifier.
        - All else, dates and pandas categoricals included: category.

        A decimal comma is understood where all cells of the column agree with it.

        Parameters
        ----------
        frame : pandas.DataFrame, m rows
            Cells as text or typed.
        exclude : collection of str, default ()
            Columns that are no inputs, such as the target.
        kinds : mapping of str to {"number", "category", "yesno", "indicator", "identifier", \
"constant"}
            The kinds of columns where the inferred ones would be wrong; the last two leave a column
            out.

        Returns
        -------
        TableSchema
            Call `fit` with the training rows before it is used for training.

        Raises
        ------
        DataError
            If a column holds an infinite number, or cells that do not fit the kind given; if a name
            or a kind is unknown; if no column is left.
        """
        table = Table.of(frame)
        return cls.fitted(infer_columns(table, exclude, kinds or {}), table)

    def fit(
        self,
        frame: "pd.DataFrame | Table",
        standardize: bool = True,
        privacy: Privacy = DEFAULT_PRIVACY,
    ) -> "TableSchema":
        """Return the same kinds of columns with the statistics of the training rows.

        Parameters
        ----------
        frame : pandas.DataFrame, m rows
            Some rows of the table from which the schema was inferred.
        standardize : bool, default True
            Whether numbers are standardized, or enter the network unscaled.
        privacy : Privacy, optional
            Which levels and values of single rows are left out; by default none.

        Returns
        -------
        TableSchema
            Columns that do not vary in these rows are indicators or constants.

        Raises
        ------
        DataError
            See `infer`.
        """
        return self.fitted(self.columns, self._require_columns(frame), standardize, privacy)

    @classmethod
    def fitted(
        cls,
        columns: Sequence["Column | InferredColumn"],
        table: Table,
        standardize: bool = True,
        privacy: Privacy = DEFAULT_PRIVACY,
    ) -> Self:
        """Return the schema of inferred columns with the statistics of some rows; see `fit`."""
        fitted = in_threads(lambda column: _fitted(column, table), columns, len(table))
        if privacy != DEFAULT_PRIVACY:
            fitted = [coarsened(c, table[c.name], privacy) if c.features else c for c in fitted]
        if not standardize:
            fitted = [c.without_scaling() if isinstance(c, NumberColumn) else c for c in fitted]
        return cls(tuple(fitted), len(table), table.header)._with_features()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The name of each feature: ``age``, ``age: missing``, ``city=Bo``."""
        return tuple(feature for column in self.columns for feature in column.features)

    @property
    def n_features(self) -> int:
        """The number of features of a row."""
        return sum(len(column.features) for column in self.columns)

    @property
    def text_columns(self) -> set[str]:
        """The names of the columns that are encoded from text: all but plain numbers."""
        return {c.name for c in self.columns if getattr(c, "decimal", ",") == ","}

    def transform(
        self, frame: "pd.DataFrame | Table", notes: list[str] | None = None
    ) -> NDArray[np.float32]:
        """Encode rows as features.

        Parameters
        ----------
        frame : pandas.DataFrame, m rows
            Cells as text or typed. Columns that are left out may be absent.
        notes : list of str, optional
            Collects a sentence for each assumption: an unknown category, a word that is neither Yes
            nor No, a missing cell in a column that had none, an unknown column. For each column, at
            most five name single values.

        Returns
        -------
        ndarray of float32, shape (m, n_features)
            All finite.

        Raises
        ------
        DataError
            If a column is absent, or a cell of a number column holds text or a number that is
            infinite or far too large, or the features are too many for the memory. Messages count
            rows from 1, below the header.
        """
        table = self._require_columns(frame)
        m, n = len(table), self.n_features
        largest = max(MAX_FEATURES, MAX_FEATURES_PER_CELL * m * len(self.columns))
        if m * n > largest:
            raise DataError(
                f"The {m:,} rows become {n:,} numbers each, which would take {4e-9 * m * n:.1f} GB "
                f"of memory, more than {4e-9 * largest:.1f} GB; give fewer rows, or leave out "
                "columns of many levels."
            )
        X = np.zeros((m, n), np.float32)
        self._write(table, X, notes)
        return X

    def blocks(
        self, frame: "pd.DataFrame | Table", notes: list[str] | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """Encode rows as `transform` does, but in blocks; all rows are checked before the first."""
        table = self._require_columns(frame)
        rows = max(1, _BLOCK // self.n_features)
        if len(table) <= rows:
            yield self.transform(table, notes)
            return
        # Checks and notes need an output of all rows: one number in memory stands for all.
        discarded = as_strided(np.zeros(1, np.float32), (len(table), self.n_features), (0, 0))
        self._write(table, discarded, notes)
        for column in self.columns:
            if isinstance(column, FeatureColumn):
                table.compact(column.name, getattr(column, "decimal", None))
        for start in range(0, len(table), rows):
            yield self.transform(table.take(np.arange(start, min(start + rows, len(table)))))

    def _write(self, table: Table, X: NDArray[np.float32], notes: list[str] | None) -> None:
        """Write the features of a table that has all columns into X, which holds zeros."""
        if notes is not None:
            known = {column.name for column in self.columns}
            notes += [
                f"Column {shortened(name)} is unknown to the model and ignored."
                for name in table.columns
                if name not in known
            ]
        columns = [column for column in self.columns if isinstance(column, FeatureColumn)]
        ends = np.cumsum([len(column.features) for column in columns]).tolist()

        spans = list(zip(columns, ends, strict=True))

        def encode(rows: Table, out: NDArray[np.float32], some: Sequence[_Span]) -> list[str]:
            remarks: list[str] = []
            with np.errstate(over="ignore"):  # such cells are refused
                for column, end in some:
                    part = out[:, end - len(column.features) : end]
                    column.encode(rows[column.name], part, None if notes is None else remarks)
            return remarks

        tasks = ((table, X, [span]) for span in spans)
        if notes is None:  # which count the rows of the table: without them, blocks will do
            m, size = len(table), max(_ROWS, _NUMBERS // X.shape[1])
            blocks = (np.arange(i, min(i + size, m)) for i in range(0, m, size))
            tasks = ((table.take(rows), X[rows[0] : rows[-1] + 1], spans) for rows in blocks)
        for remarks in in_threads(lambda task: encode(*task), tasks, len(table)):
            if notes is not None:
                notes += remarks

    def normalize_spelling(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Merge levels of a category that differ only in case or spaces, in encoded rows."""
        start, out = 0, X
        for column in self.columns:
            if isinstance(column, CategoryColumn):
                for first, other in spellings(column.levels):
                    out = X.copy() if out is X else out
                    out[:, start + first] += out[:, start + other]
                    out[:, start + other] = 0
            start += len(column.features)
        return out

    def describe(self) -> list[Description]:
        """Describe each column: name, kind, values, missing cells, encoding.

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
        """Name the columns without effect: constant or empty in all training rows."""
        remarks = []
        constant = [column for column in self.columns if column.kind == "constant"]
        for empty, state in ((False, "the same"), (True, "empty")):
            names = [c.name for c in constant if (c.missing == self.rows) == empty]
            if names:
                remarks.append(
                    f"columns without effect ({state} in all {self.rows:,} training rows): "
                    f"{listed(names)}"
                )
        return remarks

    def to_json(self) -> dict[str, object]:
        """Return the schema as an object for JSON; the same table gives the same text."""
        columns = [column.to_json() for column in self.columns]
        header = {} if self.header else {"header": False}
        return {"kind": "table", "rows": self.rows, "columns": columns, **header}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a schema from a model file; `ModelFileError` if anything in it is wrong."""
        fields = JsonReader(value, "the table's schema")
        fields.only("kind", "rows", "columns", "header")
        fields.text("kind", ("table",))
        rows = fields.whole("rows", low=1)
        columns = tuple(column_from_json(f, rows) for f in fields.objects("columns", "column"))
        schema = cls(columns, rows, "header" not in fields or fields.typed("header", bool))
        if len({column.name for column in columns}) < len(columns) or schema.n_features == 0:
            raise damaged(
                "the columns of the table's schema should have different names and at least one "
                "feature"
            )
        return schema

    def _with_features(self) -> Self:
        """Return the schema if it has features; `DataError` otherwise."""
        if self.n_features == 0:
            left_out = ", ".join(
                f"{shortened(column.name)} is left out as {column.kind} ({column.summary})"
                for column in self.columns[:_LISTED]
            )
            raise DataError(
                f"No column is left to learn from: {left_out or 'all are excluded'}; give the "
                "table more columns, or set the kind of one of them."
            )
        return self

    def _require_columns(self, frame: "pd.DataFrame | Table") -> Table:
        """Return a table if it has the columns that become features."""
        table = Table.of(frame)
        for column in self.columns:
            if isinstance(column, FeatureColumn) and column.name not in table.columns:
                reason = "which the model was trained with"
                raise absent_column(column.name, list(table.columns), reason)
        return table


def infer_columns(
    table: Table, exclude: Collection[str], kinds: Mapping[str, ColumnKind]
) -> list[InferredColumn | LeftOutColumn]:
    """Infer the kind of each column, and free its text; see `TableSchema.infer`."""
    names = list(table.columns)
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

    def infer(name: str) -> InferredColumn | LeftOutColumn:
        column = _inferred(table, name, kinds.get(name))
        decimal = getattr(column, "decimal", None)
        table.compact(name, decimal if column.kind == "number" else None)
        return column

    return in_threads(infer, [name for name in names if name not in exclude], len(table))


def _inferred(table: Table, name: str, kind: ColumnKind | None) -> InferredColumn | LeftOutColumn:
    """Infer the kind of a column unless it is given; refuse cells that do not fit it."""
    categorical, cells = table.is_categorical(name), table[name]
    if kind is None:
        if not cells.many and len(cells.distinct) <= 1:
            kind = "constant" if cells.missing in (0, len(table)) else "indicator"
        else:
            kind = _inferred_kind(cells, categorical)
    if kind == "identifier":
        values = f"{len(cells.distinct):,} different in {len(table):,} rows"
        return LeftOutColumn(name, cells.missing, kind, values)
    if kind == "constant":
        return LeftOutColumn(name, cells.missing, kind, summarize_values(cells))
    decimal = "."
    if kind == "number":
        decimal = cells.decimal
        cells.finite(decimal)
    elif kind == "yesno":
        cells.only_answers()
    return InferredColumn(name, kind, decimal)


def _fitted(column: Column | InferredColumn, table: Table) -> Column:
    """Return a column with the statistics of some rows; of one left out, only its missing cells."""
    if isinstance(column, LeftOutColumn):
        missing = table[column.name].missing if column.name in table.columns else 0
        return replace(column, missing=missing)
    cells, values = table[column.name], "always missing"
    if cells.missing < len(cells.rows):
        if isinstance(column, NumberColumn | InferredColumn) and column.kind == "number":
            fitted: FeatureColumn = NumberColumn.fit(cells, column.decimal)
        else:
            fitted = FEATURE_COLUMNS[column.kind].fit(cells)
        if fitted.varies:
            return fitted
        values = fitted.summary if len(cells.distinct) > 1 else summarize_values(cells)
    if 0 < cells.missing < len(cells.rows):
        return IndicatorColumn(cells.name, cells.missing, values)
    return LeftOutColumn(cells.name, cells.missing, "constant", values)


def _inferred_kind(cells: Cells, categorical: bool) -> ColumnKind:
    """Infer the kind of a column from its cells; see `TableSchema.infer`."""
    if cells.are_yes_no():
        return "yesno"
    present = len(cells.rows) - cells.missing
    if not categorical and cells.are_numbers():
        named_id = _ID_NAME.search(cells.name) or cells.name.startswith(_UNNAMED)
        all_differ = named_id and cells.are_integers() and len(cells.distinct) == present
        return "identifier" if all_differ and present >= _FEW_ROWS else "number"
    all_differ = len(cells.distinct) == present >= _FEW_ROWS
    if all_differ or len(cells.distinct) > max(MANY, present / 2):
        return "identifier"
    return "category"
