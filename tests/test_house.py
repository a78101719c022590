"""Architecture rules, checked on the source: imports, file sizes, classes and forbidden calls."""

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


def files(check):
    """Make a test that runs a check on every file."""

    def test():
        wrong = []
        for path in FILES:
            try:
                check(path)
            except AssertionError as error:
                wrong.append(f"{path.relative_to(SRC)}: {error}")
        assert not wrong, "\n".join(wrong)

    return test


# The order of packages, as in docs/architecture.md. A file imports only from its own package and
# from earlier ones, without cycles. Within nn, the files are ordered too. The name of a package
# means its __init__.
ORDER = [
    *("_version", "errors", "limits", "formatting", "textbook", "nn", "optim"),
    *("engine", "train", "storage", "data", "model", "option", "config", "build"),
    *(
        "metrics",
        "evaluate",
        "explain",
        "tabular",
        "loading",
        "training",
        "distributed",
        "tracking",
        "report",
        "diagnose",
        "search",
    ),
    *("estimators", "export", "play"),
]
NN = "validation registry parameters pieces ranks initializers layers normalization convolution"
NN += " activations embeddings losses network ensemble convolutional_network gradcheck"
LEVELS = (
    *[(f"plainnet.{name}.*",) for name in ORDER[: ORDER.index("nn")]],
    *[(f"plainnet.nn.{name}",) for name in NN.split()],
    ("plainnet.nn",),
    *[(f"plainnet.{name}.*",) for name in ORDER[ORDER.index("nn") + 1 :]],
    ("plainnet",),
    ("plainnet.cli.*",),
    ("plainnet.__main__",),
)
# Packages that may import fewer parts of plainnet than the order permits.
ALLOWED_INTERNAL = {
    "plainnet.textbook": (),
    "plainnet.nn": ("plainnet.errors", "plainnet.nn"),
    "plainnet.optim": ("plainnet.errors", "plainnet.nn", "plainnet.optim"),
    "plainnet.metrics": ("plainnet.errors", "plainnet.nn", "plainnet.metrics"),
}
# Third-party modules that a package may import; training limits BLAS threads with threadpoolctl.
ALLOWED_EXTERNAL = {
    "plainnet.textbook": {"numpy"},
    "plainnet.nn": {"numpy"},
    "plainnet.optim": {"numpy"},
    "plainnet.metrics": {"numpy"},
    "plainnet.engine": {"numpy", "threadpoolctl", "numba", "llvmlite"},
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
    "starlette",
    "uvicorn",
}
ML_LIBRARIES = {
    "sklearn",
    "scipy",
    "torch",
    "jax",
    "tensorflow",
    "keras",
    "xgboost",
    "lightgbm",
}
ML_LIBRARIES |= {"optuna"}
UNSAFE = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
}
RANDOM_STATE_MODULES = {"plainnet.data.synthetic"}  # reproduces published data
SEEDED_NAMES = {
    "default_rng",
    "Generator",
    "BitGenerator",
    "SeedSequence",
    "PCG64",
    "PCG64DXSM",
}


@functools.cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_of(path):
    parts = ["plainnet", *path.relative_to(SRC).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


@functools.cache
def imported_by(path):
    """Return the full name and line of each module that a file imports, also inside functions."""
    found = []
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.append((alias.name, node.lineno))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{origin}.{alias.name}"
                found.append((full if full in MODULES else origin, node.lineno))
    return found


def is_inside(module, part):
    return module == part or module.startswith(part + ".")


def level_of(module):
    for number, level in enumerate(LEVELS):
        for name in level:
            if module == name or (name.endswith(".*") and is_inside(module, name[:-2])):
                return number
    return None


def at(path, line, message):
    return f"{path.relative_to(SRC.parents[1])}:{line}: {message}"


# --- imports -------------------------------------------------------------------------------------


@files
def test_every_file_has_a_level(path):
    assert level_of(module_of(path)) is not None, f"{module_of(path)} is new: add it to LEVELS"


@files
def test_no_upward_imports(path):
    module = module_of(path)
    wrong = [
        at(path, line, f"{module} imports {other}, which has a higher level")
        for other, line in imported_by(path)
        if is_inside(other, "plainnet")
        and other != module
        and (level_of(other) is None or level_of(other) > level_of(module))
    ]
    assert not wrong, "\n".join(wrong)


@files
def test_internal_imports_are_allowed(path):
    module, wrong = module_of(path), []
    for part, allowed in ALLOWED_INTERNAL.items():
        if is_inside(module, part):
            wrong += [
                at(path, line, f"{part} may not import {other}")
                for other, line in imported_by(path)
                if is_inside(other, "plainnet") and not any(is_inside(other, a) for a in allowed)
            ]
    assert not wrong, "\n".join(wrong)


@files
def test_third_party_imports_are_allowed(path):
    module, wrong = module_of(path), []
    for part, allowed in ALLOWED_EXTERNAL.items():
        if is_inside(module, part):
            wrong += [
                at(path, line, f"{part} may not import {other}")
                for other, line in imported_by(path)
                if other.split(".")[0] not in {*sys.stdlib_module_names, "plainnet", *allowed}
            ]
    assert not wrong, "\n".join(wrong)


@files
def test_no_machine_learning_library_is_imported(path):
    # adapters: scikit-learn's tag classes, one of its models as a baseline, optuna's samplers
    adapters = {"plainnet.estimators.api": {"sklearn"}, "plainnet.search.samplers": {"optuna"}}
    adapters["plainnet.evaluate.baselines.boosting"] = {"sklearn"}
    allowed = adapters.get(module_of(path), set())
    wrong = [
        at(path, line, f"imports {other}")
        for other, line in imported_by(path)
        if other.split(".")[0] in ML_LIBRARIES - allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_no_circular_imports():
    """Follow the imports of each file, without those of its own package's __init__."""
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


def test_imported_by_finds_all_import_forms(tmp_path):
    """The rules above depend on this function."""
    file = SRC / "nn" / "_missing.py"
    source = (
        "import os.path\nimport numpy as np, json\nfrom plainnet import errors\n"
        "from plainnet.nn import parameters, Dense\nfrom . import layers\n"
        "from .losses import Loss\n"
        "from ..data import read_table as f\nfrom .. import model\n"
        "def g():\n    import pandas\n    if 1:\n        from plainnet.cli import main\n"
    )
    parsed = ast.parse(source)
    original = tree_of.__wrapped__
    try:
        globals()["tree_of"] = lambda path: parsed if path == file else original(path)
        seen = {name for name, _ in imported_by(file)}
    finally:
        globals()["tree_of"] = functools.cache(original)
    assert {"os.path", "numpy", "json", "plainnet.errors", "plainnet.nn.parameters"} <= seen
    assert {"plainnet.nn", "plainnet.nn.layers", "plainnet.nn.losses", "pandas"} <= seen
    assert any(is_inside(name, "plainnet.data") for name in seen)
    assert any(is_inside(name, "plainnet.cli") for name in seen)


def top_modules_after(statement):
    code = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize("statement", ["import plainnet", "import plainnet.nn"])
def test_import_loads_no_heavy_modules(statement):
    assert not top_modules_after(statement) & HEAVY


def test_nn_loads_only_numpy():
    beyond = top_modules_after("import plainnet.nn") - top_modules_after("import numpy.random")
    assert beyond - set(sys.stdlib_module_names) <= {"plainnet"}


# --- sizes ---------------------------------------------------------------------------------------


def lines_of_code(source):
    """Count the lines of code, without comments, docstrings and blank lines."""
    ignored = {
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
        if token.type not in ignored:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def test_lines_of_code():
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
def test_file_has_at_most_300_lines_of_code(path):
    assert lines_of_code(path.read_text(encoding="utf-8")) <= 300


# Files of nn and train that dense networks on tables in memory do not need.
EXTENSIONS = "nn.convolution nn.convolutional_network nn.pieces nn.embeddings nn.ensemble nn.ranks"
EXTENSIONS += " train.augment train.members train.row_file train.compiled_epoch"
EXTENSIONS += " train.shared_training"


def test_lines_of_code_of_nn_optim_and_train():
    sizes = {
        module.removeprefix("plainnet."): lines_of_code(path.read_text(encoding="utf-8"))
        for module, path in MODULES.items()
        if any(is_inside(module, f"plainnet.{part}") for part in ("nn", "optim", "train"))
        and path.name != "__init__.py"  # only lists of names
    }
    extensions = sum(sizes.pop(module) for module in EXTENSIONS.split())
    assert sum(sizes.values()) <= 2400, sizes
    assert extensions <= 982


def test_engine_has_at_most_2140_lines_of_code():
    sizes = {
        module: lines_of_code(path.read_text(encoding="utf-8"))
        for module, path in MODULES.items()
        if is_inside(module, "plainnet.engine")
    }
    assert sum(sizes.values()) <= 2140, sizes


def test_textbook_has_less_than_150_lines_of_code():
    if "plainnet.textbook" not in MODULES:
        pytest.skip("textbook.py does not exist")
    assert lines_of_code(MODULES["plainnet.textbook"].read_text(encoding="utf-8")) < 150


# --- classes -------------------------------------------------------------------------------------


def classes():
    """Return all classes of plainnet, except those of modules whose extras are not installed."""
    found = {}
    for info in pkgutil.walk_packages(plainnet.__path__, "plainnet."):
        if info.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(info.name)
        except ModuleNotFoundError as error:
            if is_inside(error.name or "", "plainnet"):
                raise
            continue
        for member in vars(module).values():
            if inspect.isclass(member) and is_inside(member.__module__, "plainnet"):
                found[f"{member.__module__}.{member.__qualname__}"] = member
    return found


def is_concrete(member):
    """Return whether a class attribute is a concrete method or property."""
    inner = getattr(member, "fget", getattr(member, "__func__", getattr(member, "func", member)))
    return inspect.isfunction(inner) and not getattr(member, "__isabstractmethod__", False)


def overridden_methods(cls):
    for name, member in vars(cls).items():
        if name.startswith("__") and name.endswith("__"):
            continue
        for base in cls.__mro__[1:]:
            internal = is_inside(base.__module__, "plainnet") and not getattr(
                base, "_is_protocol", False
            )
            if internal and name in vars(base) and is_concrete(vars(base)[name]):
                yield f"{cls.__qualname__}.{name} overrides {base.__qualname__}", member


def test_no_class_overrides_a_concrete_method():
    wrong = [
        f"{name}: {text}" for name, cls in classes().items() for text, _ in overridden_methods(cls)
    ]
    assert not wrong, "\n".join(wrong)


def test_overridden_methods_are_found():
    from plainnet.nn import ReLU

    class Override(ReLU):
        def forward(self, X, train):
            return X

        def config(self):
            return {}

    assert [text.split()[0].split(".")[-1] for text, _ in overridden_methods(Override)] == [
        "forward",
        "config",
    ]
    assert not list(overridden_methods(ReLU))


def test_every_class_is_abstract_or_final():
    """Exceptions, protocols and named tuples are exempt."""
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


# --- forbidden calls -----------------------------------------------------------------------------


@files
def test_no_pickle_and_no_eval(path):
    wrong = [
        at(path, line, f"imports {other}")
        for other, line in imported_by(path)
        if other.split(".")[0] in UNSAFE
    ]
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec", "compile"}:
            wrong.append(at(path, node.lineno, f"calls {node.func.id}"))
        if any(
            k.arg == "allow_pickle"
            and not (isinstance(k.value, ast.Constant) and not k.value.value)
            for k in node.keywords
        ):
            wrong.append(at(path, node.lineno, "allows pickle"))
    assert not wrong, "\n".join(wrong)


@files
def test_no_global_randomness(path):
    known = SEEDED_NAMES | ({"RandomState"} if module_of(path) in RANDOM_STATE_MODULES else set())
    wrong = [
        at(path, line, "imports random")
        for other, line in imported_by(path)
        if other.split(".")[0] == "random"
    ]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {
            "np.random",
            "numpy.random",
        }:
            if node.attr not in known:
                wrong.append(at(path, node.lineno, f"uses {ast.unparse(node)}"))
        elif isinstance(node, ast.ImportFrom) and node.module == "numpy.random":
            wrong += [
                at(path, node.lineno, f"imports numpy.random.{alias.name}")
                for alias in node.names
                if alias.name not in known
            ]
    assert not wrong, "\n".join(wrong)


def test_no_name_shadows_a_module():
    classes()  # imports every module
    for module in sorted(MODULES.keys() & sys.modules.keys() - {"plainnet"}):
        parent, _, child = module.rpartition(".")
        assert inspect.ismodule(getattr(sys.modules[parent], child)), module
    assert not [name for name in plainnet.__all__ if f"plainnet.{name}" in MODULES]


# Private words that a reader who knows the field cannot guess.
PRIVATE = {"ward", "patient", "telling", "looks", "words", "places", "keeper", "believed"}


@files
def test_identifiers_are_terms_of_the_field(path):
    source = io.StringIO(path.read_text(encoding="utf-8")).readline
    names = {
        token.string.strip("_").lower()
        for token in tokenize.generate_tokens(source)
        if token.type == tokenize.NAME
    }
    assert not names & PRIVATE
    assert path.stem not in PRIVATE


@files
def test_no_dispatch_by_hasattr(path):
    assert "hasattr(" not in path.read_text(encoding="utf-8")


@files
def test_no_mutable_defaults(path):
    """A mutable default is shared by all calls."""
    wrong = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for default in [*node.args.defaults, *node.args.kw_defaults]:
                if isinstance(default, ast.List | ast.Dict | ast.Set):
                    wrong.append(at(path, default.lineno, ast.unparse(default)))
    assert not wrong, "\n".join(wrong)
