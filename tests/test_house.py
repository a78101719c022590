"""The rules of the house, read from its source: who may import whom, how large, and what never."""

import ast
import functools
import importlib
import inspect
import io
import pkgutil
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import plainnet

SRC = Path(__file__).resolve().parents[1] / "src" / "plainnet"
FILES = sorted(SRC.rglob("*.py"))
files = pytest.mark.parametrize("path", FILES, ids=[str(f.relative_to(SRC)) for f in FILES])

# From the bottom up: a file imports only from packages above its own in this list, which is that of
# docs/architecture.md; files of one package may import each other, but not in a circle. Within nn,
# the order is stricter. A package's own name stands for its __init__.
ORDER = [
    *("_version", "errors", "limits", "formatting", "textbook", "nn", "optim"),
    *("engine", "train", "storage", "data", "model", "option", "config", "metrics", "evaluate"),
    *("explain", "training", "report", "diagnose", "search", "estimators", "export"),
]
NN = "validation registry parameters initializers layers normalization activations losses network"
NN += " gradcheck"
FLOORS = (
    *[(f"plainnet.{name}.*",) for name in ORDER[: ORDER.index("nn")]],
    *[(f"plainnet.nn.{name}",) for name in NN.split()],
    ("plainnet.nn",),
    *[(f"plainnet.{name}.*",) for name in ORDER[ORDER.index("nn") + 1 :]],
    ("plainnet",),
    ("plainnet.cli.*",),
    ("plainnet.__main__",),
)
# What a part may import of plainnet, where that is less than all that lies below it.
ONLY = {
    "plainnet.textbook": (),
    "plainnet.nn": ("plainnet.errors", "plainnet.nn"),
    "plainnet.optim": ("plainnet.errors", "plainnet.nn", "plainnet.optim"),
    "plainnet.metrics": ("plainnet.errors", "plainnet.nn", "plainnet.metrics"),
}
# The mathematics stands on NumPy alone; training may ask threadpoolctl for the number of threads.
OUTSIDE = {
    "plainnet.textbook": {"numpy"},
    "plainnet.nn": {"numpy"},
    "plainnet.optim": {"numpy"},
    "plainnet.metrics": {"numpy"},
    "plainnet.engine": {"numpy", "threadpoolctl"},
    "plainnet.train": {"numpy", "threadpoolctl", "safetensors"},
}
HEAVY = {
    "pandas",
    "PIL",
    "rich",
    "cyclopts",
    "matplotlib",
    "sklearn",
    "scipy",
    "safetensors",
    "threadpoolctl",
    "pyarrow",
    "jinja2",
    "torch",
    "jax",
    "onnx",
    "onnxruntime",
    "optuna",
}
LEARNING = {"sklearn", "scipy", "torch", "jax", "tensorflow", "keras", "xgboost", "lightgbm"}
LEARNING |= {"optuna"}
UNSAFE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
SEEDED = {"plainnet.data.synthetic"}  # redraws published data
RANDOM = {"default_rng", "Generator", "BitGenerator", "SeedSequence", "PCG64", "PCG64DXSM"}


@functools.cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_of(path):
    parts = ["plainnet", *path.relative_to(SRC).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imported_by(path):
    """Every module that a file imports anywhere, in functions too, in full; with its line."""
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{origin}.{alias.name}"
                yield (full if full in MODULES else origin), node.lineno


def within(module, part):
    return module == part or module.startswith(part + ".")


def floor_of(module):
    for number, floor in enumerate(FLOORS):
        for name in floor:
            if module == name or (name.endswith(".*") and within(module, name[:-2])):
                return number
    return None


def says(path, line, what):
    return f"{path.relative_to(SRC.parents[1])}:{line}: {what}"


# --- who imports whom ----------------------------------------------------------------------------


@files
def test_every_file_has_its_floor(path):
    assert floor_of(module_of(path)) is not None, (
        f"{module_of(path)} is new: say in FLOORS what it may stand on"
    )


@files
def test_no_import_runs_upward(path):
    module = module_of(path)
    wrong = [
        says(path, line, f"{module} imports {other}, which lies above it")
        for other, line in imported_by(path)
        if within(other, "plainnet")
        and other != module
        and (floor_of(other) is None or floor_of(other) > floor_of(module))
    ]
    assert not wrong, "\n".join(wrong)


@files
def test_each_part_imports_only_its_own(path):
    module, wrong = module_of(path), []
    for part, allowed in ONLY.items():
        if within(module, part):
            wrong += [
                says(path, line, f"{part} may not import {other}")
                for other, line in imported_by(path)
                if within(other, "plainnet") and not any(within(other, a) for a in allowed)
            ]
    assert not wrong, "\n".join(wrong)


@files
def test_the_mathematics_stands_on_numpy_and_the_standard_library(path):
    module, wrong = module_of(path), []
    for part, allowed in OUTSIDE.items():
        if within(module, part):
            wrong += [
                says(path, line, f"{part} may not import {other}")
                for other, line in imported_by(path)
                if other.split(".")[0] not in {*sys.stdlib_module_names, "plainnet", *allowed}
            ]
    assert not wrong, "\n".join(wrong)


@files
def test_no_learning_library_computes_anything(path):
    # each speaks another's protocol: an estimator's tags are made of scikit-learn's classes
    speaks = {"plainnet.estimators.api": {"sklearn"}, "plainnet.search.samplers": {"optuna"}}
    allowed = speaks.get(module_of(path), set())
    wrong = [
        says(path, line, f"imports {other}")
        for other, line in imported_by(path)
        if other.split(".")[0] in LEARNING - allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_no_imports_run_in_a_circle():
    """Each file's imports, its own package's __init__ left out, followed to their ends."""
    graph = {
        module: {other for other, _ in imported_by(path) if other in MODULES and other != module}
        for module, path in MODULES.items()
    }
    done = set()

    def follow(module, trail):
        assert module not in trail, " -> ".join([*trail, module])
        if module not in done:
            for other in sorted(graph[module]):
                follow(other, [*trail, module])
            done.add(module)

    for module in graph:
        follow(module, [])


def test_the_reading_of_imports_sees_all_forms(tmp_path):
    """The rules above are worth what this reader is."""
    file = SRC / "nn" / "_not_there.py"
    source = (
        "import os.path\nimport numpy as np, json\nfrom plainnet import errors\n"
        "from plainnet.nn import parameters, Dense\nfrom . import layers\n"
        "from .losses import Loss\n"
        "from ..data import read_table as f\nfrom .. import model\n"
        "def g():\n    import pandas\n    if 1:\n        from plainnet.cli import main\n"
    )
    tree_of_file = ast.parse(source)
    original = tree_of.__wrapped__
    try:
        globals()["tree_of"] = lambda path: tree_of_file if path == file else original(path)
        seen = {name for name, _ in imported_by(file)}
    finally:
        globals()["tree_of"] = functools.cache(original)
    assert {"os.path", "numpy", "json", "plainnet.errors", "plainnet.nn.parameters"} <= seen
    assert {"plainnet.nn", "plainnet.nn.layers", "plainnet.nn.losses", "pandas"} <= seen
    assert any(within(name, "plainnet.data") for name in seen)
    assert any(within(name, "plainnet.cli") for name in seen)


def loaded_by(statement):
    code = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize("statement", ["import plainnet", "import plainnet.nn"])
def test_importing_loads_nothing_heavy(statement):
    assert not loaded_by(statement) & HEAVY


def test_the_engine_loads_numpy_and_nothing_else():
    beyond = loaded_by("import plainnet.nn") - loaded_by("import numpy.random")
    assert beyond - set(sys.stdlib_module_names) <= {"plainnet"}


# --- how large -----------------------------------------------------------------------------------


def lines_of_code(source):
    """Lines that hold more than a comment, a docstring or nothing."""
    silent = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    }
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in silent:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def test_the_counting_of_lines():
    source = '''"""Docstring
of two lines."""

import os  # counts

# does not
def f(
    a,
):
    """One.

    More.
    """
    return """a
b"""
'''
    assert lines_of_code(source) == 1 + 3 + 2


@files
def test_a_file_holds_at_most_300_lines_of_code(path):
    assert lines_of_code(path.read_text(encoding="utf-8")) <= 300


def test_networks_optimizers_and_training_hold_at_most_2400():
    sizes = {
        module: lines_of_code(path.read_text(encoding="utf-8"))
        for module, path in MODULES.items()
        if any(within(module, f"plainnet.{part}") for part in ("nn", "optim", "train"))
        and path.name != "__init__.py"  # lists of names hold nothing to understand
    }
    assert sum(sizes.values()) <= 2400, sizes


def test_the_textbook_holds_less_than_150():
    if "plainnet.textbook" not in MODULES:
        pytest.skip("there is no textbook.py yet")
    assert lines_of_code(MODULES["plainnet.textbook"].read_text(encoding="utf-8")) < 150


# --- classes -------------------------------------------------------------------------------------


def classes():
    """Every class that plainnet defines; a module whose extras are missing is left out."""
    found = {}
    for info in pkgutil.walk_packages(plainnet.__path__, "plainnet."):
        if info.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(info.name)
        except ModuleNotFoundError as error:
            if within(error.name or "", "plainnet"):
                raise
            continue
        for thing in vars(module).values():
            if inspect.isclass(thing) and within(thing.__module__, "plainnet"):
                found[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return found


def is_concrete(member):
    """Whether a class attribute is a method or property with a body of its own."""
    inner = getattr(member, "fget", getattr(member, "__func__", getattr(member, "func", member)))
    return inspect.isfunction(inner) and not getattr(member, "__isabstractmethod__", False)


def overrides_of(cls):
    for name, member in vars(cls).items():
        if name.startswith("__") and name.endswith("__"):
            continue
        for base in cls.__mro__[1:]:
            ours = within(base.__module__, "plainnet") and not getattr(base, "_is_protocol", False)
            if ours and name in vars(base) and is_concrete(vars(base)[name]):
                yield f"{cls.__qualname__}.{name} overrides that of {base.__qualname__}", member


def test_no_class_overrides_a_concrete_method():
    wrong = [f"{name}: {text}" for name, cls in classes().items() for text, _ in overrides_of(cls)]
    assert not wrong, "\n".join(wrong)


def test_an_override_would_be_seen():
    from plainnet.nn import ReLU

    class Loud(ReLU):
        def forward(self, X, train):
            return X

        def config(self):
            return {}

    assert [text.split()[0].split(".")[-1] for text, _ in overrides_of(Loud)] == [
        "forward",
        "config",
    ]
    assert not list(overrides_of(ReLU))


def test_every_class_is_abstract_or_final():
    """Errors are caught by their family, and a protocol is only a shape."""
    wrong = [
        name
        for name, cls in classes().items()
        if not inspect.isabstract(cls)
        and not getattr(cls, "__final__", False)
        and not issubclass(cls, Exception)
        and not getattr(cls, "_is_protocol", False)
        and not (issubclass(cls, tuple) and cls.__bases__ == (tuple,))
    ]
    assert not wrong, f"neither abstract nor final: {wrong}"


# --- what never ----------------------------------------------------------------------------------


@files
def test_no_pickle_and_no_running_of_text(path):
    wrong = [
        says(path, line, f"imports {other}")
        for other, line in imported_by(path)
        if other.split(".")[0] in UNSAFE
    ]
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec", "compile"}:
            wrong.append(says(path, node.lineno, f"calls {node.func.id}"))
        if any(
            k.arg == "allow_pickle"
            and not (isinstance(k.value, ast.Constant) and not k.value.value)
            for k in node.keywords
        ):
            wrong.append(says(path, node.lineno, "allows pickle"))
    assert not wrong, "\n".join(wrong)


@files
def test_no_global_randomness(path):
    known = RANDOM | ({"RandomState"} if module_of(path) in SEEDED else set())
    wrong = [
        says(path, line, "imports random")
        for other, line in imported_by(path)
        if other.split(".")[0] == "random"
    ]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {
            "np.random",
            "numpy.random",
        }:
            if node.attr not in known:
                wrong.append(says(path, node.lineno, f"uses {ast.unparse(node)}"))
        elif isinstance(node, ast.ImportFrom) and node.module == "numpy.random":
            wrong += [
                says(path, node.lineno, f"imports numpy.random.{alias.name}")
                for alias in node.names
                if alias.name not in known
            ]
    assert not wrong, "\n".join(wrong)


@files
def test_no_dispatch_by_hasattr(path):
    assert "hasattr(" not in path.read_text(encoding="utf-8")


@files
def test_no_default_that_can_change(path):
    """A list, a dict or an object as a default is shared by all calls."""
    wrong = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for default in [*node.args.defaults, *node.args.kw_defaults]:
                if isinstance(default, ast.List | ast.Dict | ast.Set):
                    wrong.append(says(path, default.lineno, ast.unparse(default)))
    assert not wrong, "\n".join(wrong)
