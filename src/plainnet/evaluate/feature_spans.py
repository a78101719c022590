"""Feature spans: which features belong to which column of a table."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from plainnet.storage.json_reader import JsonReader, damaged

if TYPE_CHECKING:
    from plainnet.data.images import ImageSchema
    from plainnet.data.table_schema import TableSchema

    Schema = TableSchema | ImageSchema

Kind = Literal["number", "yesno", "category", "indicator"]


class FeatureSpan(NamedTuple):
    """The features of a column, and how they encode it."""

    name: str  # the column
    kind: Kind
    start: int  # its first feature
    stop: int  # one after its last feature
    missing: bool = False  # whether the last feature marks a missing cell
    levels: tuple[str, ...] = ()  # of a category; any other level is 0 in all features
    mean: float = 0.0  # by which a number was standardized
    scale: float = 1.0  # by which a number was standardized

    def to_json(self) -> dict[str, Any]:
        """Return the span as JSON values."""
        return {**self._asdict(), "levels": list(self.levels)}

    @classmethod
    def from_json(cls, fields: JsonReader, n_features: int) -> "FeatureSpan":
        """Read a span from a model file and check that it fits the model."""
        fields.only(*cls.__annotations__)
        span = fields.record(cls)
        width = {"category": len(span.levels), "indicator": 0}.get(span.kind, 1) + span.missing
        fits = span.start < n_features and span.stop == span.start + width <= n_features
        if not fits or span.scale <= 0 or len(set(span.levels)) < len(span.levels):
            raise damaged(f"{fields.where} does not fit the model")
        return span


@lru_cache(4)
def feature_spans(schema: "Schema") -> tuple[FeatureSpan, ...]:
    """Return the span of each column of a table; none of images."""
    from plainnet.data.column_kinds import CategoryColumn, FeatureColumn, NumberColumn
    from plainnet.data.images import ImageSchema

    spans: list[FeatureSpan] = []
    if isinstance(schema, ImageSchema):
        return ()
    start = 0
    for column in schema.columns:
        if isinstance(column, FeatureColumn):
            levels = column.levels if isinstance(column, CategoryColumn) else ()
            mean, scale = 0.0, 1.0
            if isinstance(column, NumberColumn):
                mean, scale = column.mean, column.scale
            stop, missing = start + len(column.features), bool(column.missing)
            kind = cast(Kind, column.kind)
            spans.append(FeatureSpan(column.name, kind, start, stop, missing, levels, mean, scale))
            start = stop
    return tuple(spans)
