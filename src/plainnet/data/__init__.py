"""Data: read tables and pictures, encode and split them; generate built-in data.

Each name is imported when it is first used, so that `import plainnet` stays quick.
"""

TYPE_CHECKING = False  # importing it from `typing` would take longer than this whole module
_MODULES = {
    "dataset": ("Dataset", "Examples", "ImageSource", "TableSource"),
    "images": ("ImageSchema", "read_images"),
    "read_table": ("read_frame",),
    "splits": ("split",),
    "synthetic": (
        *("blobs", "circles", "flower", "introverts", "moons", "pandas_and_bears", "spiral"),
        "surface",
    ),
    "table_schema": ("TableSchema",),
    "targets": ("Target",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
__all__ = [*_MODULE_OF]

if TYPE_CHECKING:
    from typing import Any

    from plainnet.data.dataset import Dataset as Dataset
    from plainnet.data.dataset import Examples as Examples
    from plainnet.data.dataset import ImageSource as ImageSource
    from plainnet.data.dataset import TableSource as TableSource
    from plainnet.data.images import ImageSchema as ImageSchema
    from plainnet.data.images import read_images as read_images
    from plainnet.data.read_table import read_frame as read_frame
    from plainnet.data.splits import split as split
    from plainnet.data.synthetic import *  # noqa: F403
    from plainnet.data.table_schema import TableSchema as TableSchema
    from plainnet.data.targets import Target as Target


def __getattr__(name: str) -> "Any":
    """Import a public name from its module."""
    from importlib import import_module

    if name not in _MODULE_OF:
        raise AttributeError(f"module 'plainnet.data' has no attribute {name!r}")
    module = import_module(f"plainnet.data.{_MODULE_OF[name]}")
    globals()[name] = value = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
