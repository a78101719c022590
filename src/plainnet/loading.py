"""Loading: read data and split them as a configuration says."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from plainnet.build import check
from plainnet.config import Config, ResolvedConfig, privacy_of, rng
from plainnet.errors import DataError
from plainnet.nn.ranks import ALONE, Ranks

if TYPE_CHECKING:
    import pandas as pd

    from plainnet.data.column_kinds import ColumnKind
    from plainnet.data.dataset import Dataset, Source
    from plainnet.data.images import Progress
    from plainnet.data.splits import Folds
    from plainnet.data.survey import StreamOptions
    from plainnet.data.table import Table
    from plainnet.data.targets import Task

Data: TypeAlias = "str | Path | pd.DataFrame | tuple[Any, ...] | Dataset"


def load(
    data: "Data", config: Config, *, progress: "Progress | None" = None, ranks: Ranks = ALONE
) -> "Dataset":
    """Read and split data as `train` does; a data set is returned unchanged."""
    from plainnet.data.dataset import Dataset
    from plainnet.data.splits import split

    config = config.resolved(images=are_pictures(data))
    check(config)
    if isinstance(data, Dataset):
        return data
    if (streamed := _streamed(data, config, progress, ranks)) is not None:
        return streamed
    return split(
        _images_in_file(data, config, progress, ranks) or _source(data, config, progress),
        rng(config, 0),
        test_fraction=config.test_fraction,
        validation_fraction=config.validation_fraction,
    )


def _streamed(
    data: "Data", config: ResolvedConfig, progress: "Progress | None", ranks: Ranks
) -> "Dataset | None":
    """Return a table that is larger than memory, or a folder of tables."""
    from plainnet.data.memory import is_streamed
    from plainnet.data.stream import read_stream

    if not isinstance(data, str | Path):
        return None
    path, memory = Path(data), config.memory_bytes
    if not any(ranks.gather(is_streamed(path, config.header, memory, ranks.local_size))):
        return None
    options = _stream_options(config)
    folder = None if config.cache_dir is None else Path(config.cache_dir)
    return ranks.in_turn(lambda: read_stream(path, options, folder, progress))


def _stream_options(config: ResolvedConfig) -> "StreamOptions":
    from plainnet.data.survey import StreamOptions

    return StreamOptions(
        config.target,
        cast("Task | None", config.task),
        cast("Mapping[str, ColumnKind]", config.kind),
        config.header,
        config.standardize,
        privacy_of(config),
        config.test_fraction,
        config.validation_fraction,
        config.seed,
        config.group_duplicates,
        config.memory_bytes,
    )


def load_folds(
    data: "Data", config: Config, k: int, *, progress: "Progress | None" = None
) -> "Folds":
    """Read data, hold out the test rows that `train` would, and deal the others into folds.

    Of a table that does not fit in memory, only a sample of the other rows is dealt.
    """
    from plainnet.data.memory import is_streamed
    from plainnet.data.splits import fold

    config = config.resolved(images=are_pictures(data))
    check(config)
    if isinstance(data, str | Path) and is_streamed(Path(data), config.header, config.memory_bytes):
        return _sampled_folds(data, config, k, progress)
    source = _images_in_file(data, config, progress) or _source(data, config, progress)
    return fold(source, k, rng(config, 0), rng(config, 3), test_fraction=config.test_fraction)


def _sampled_folds(
    data: "str | Path", config: ResolvedConfig, k: int, progress: "Progress | None"
) -> "Folds":
    """Deal a sample of a table that does not fit in memory into folds."""
    from plainnet.data.splits import fold
    from plainnet.data.survey import sample_stream

    table, m = sample_stream(Path(data), _stream_options(config), progress)
    source = _source(table, config, progress)
    folds = fold(source, k, rng(config, 0), rng(config, 3), test_fraction=0.0)
    folds.data.notes.append(
        f"the table is too large for memory, or a folder: the folds hold a sample of {source.m:,} "
        f"of the {m:,} rows that are not held out"
    )
    return replace(folds, sampled=True)


def are_pictures(data: "Data") -> bool:
    """Whether data are pictures: a folder, an array of four axes, or a data set of them."""
    from plainnet.data.table_stream import is_table_folder

    if isinstance(data, str | Path):
        return Path(data).is_dir() and not is_table_folder(Path(data))
    if isinstance(data, tuple):
        return np.ndim(data[0]) == 4
    return getattr(data, "train", None) is not None and data.train.X.ndim == 4


def _images_in_file(
    data: "Data", config: ResolvedConfig, progress: "Progress | None", ranks: Ranks = ALONE
) -> "Source | None":
    """Return the pictures of a folder that do not fit in memory, decoded to a cache."""
    from plainnet.data.dataset import image_options
    from plainnet.data.image_stream import StreamedImages
    from plainnet.data.memory import are_images_streamed

    if not isinstance(data, str | Path) or not are_pictures(data):
        return None
    path, size, memory = Path(data), config.size, config.memory_bytes
    if not any(ranks.gather(are_images_streamed(path, size, memory, ranks.local_size))):
        return None
    image_options({"target": config.target, "task": config.task, "kinds": config.kind})
    if config.group_duplicates:
        raise DataError(
            f"{str(data)!r} does not fit in memory, so that its pictures cannot be compared with "
            "each other: leave out group_duplicates, or give more memory"
        )
    folder = None if config.cache_dir is None else Path(config.cache_dir)
    options = config.strict, config.standardize, memory, folder, progress
    return ranks.in_turn(lambda: StreamedImages(path, size, *options))


def _source(data: "Data | Table", config: ResolvedConfig, progress: "Progress | None") -> "Source":
    from plainnet.data.arrays import array_frame, image_source
    from plainnet.data.dataset import TableSource, read_source
    from plainnet.evaluate.duplicates import near_duplicate_groups

    task, kinds = cast("Task | None", config.task), cast("Mapping[str, ColumnKind]", config.kind)
    options: dict[str, Any] = {"target": config.target, "task": task, "kinds": kinds}
    options |= {"group": near_duplicate_groups if config.group_duplicates else None}
    options |= {"standardize": config.standardize, "privacy": privacy_of(config)}
    if isinstance(data, str | Path):
        options |= {"size": config.size, "strict": config.strict, "header": config.header}
        return read_source(data, progress=progress, **options)
    if isinstance(data, tuple):
        if len(data) not in (2, 3):
            raise DataError(
                f"train takes arrays as (X, y) or (X, y, classes), got {len(data)} parts"
            )
        if np.ndim(data[0]) == 4:
            return image_source(*data, **options)
        options["target"], data = array_frame(*data)
    return TableSource(cast("pd.DataFrame", data), **options)
