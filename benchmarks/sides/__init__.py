"""One file a side: plainnet, its peers, and the floor under them all."""

from importlib import import_module

from benchmarks.sides.base import Side

# The module and class of each side, imported only in the process that runs it.
SIDES = {
    "plainnet": ("plainnet_side", "Plainnet"),
    "floor": ("floor", "Floor"),
    "PyTorch": ("pytorch", "PyTorch"),
    "torch.compile": ("pytorch", "CompiledPyTorch"),
    "JAX": ("jax_side", "Jax"),
    "scikit-learn": ("sklearn_side", "ScikitLearn"),
    "JAX, whole epochs compiled": ("jax_side", "WholeJax"),
}
PEERS = ("PyTorch", "torch.compile", "JAX", "scikit-learn")
PREDICTS = ("plainnet", "floor", *PEERS)


def side(name: str, threads: int) -> Side:
    """Import a side and make it; the process must not have computed anything yet."""
    module, kind = SIDES[name]
    made: Side = getattr(import_module(f"benchmarks.sides.{module}"), kind)(threads)
    return made
