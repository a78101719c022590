"""Implementations of the workloads: plainnet, other libraries, and matrix products alone."""

from importlib import import_module

from benchmarks.implementations.base import Implementation

# Name: module and class, imported only in the process that runs it.
IMPLEMENTATIONS = {
    "plainnet": ("plainnet", "Plainnet"),
    "plainnet, NumPy alone": ("plainnet", "PlainnetNumPy"),
    "matrix products": ("matrix_products", "MatrixProducts"),
    "PyTorch": ("pytorch", "PyTorch"),
    "torch.compile": ("pytorch", "CompiledPyTorch"),
    "JAX": ("jax", "Jax"),
    "scikit-learn": ("scikit_learn", "ScikitLearn"),
    "JAX, whole epochs compiled": ("jax", "JaxWholeTraining"),
}
OURS = ("plainnet", "plainnet, NumPy alone")
LIBRARIES = ("PyTorch", "torch.compile", "JAX", "scikit-learn")
PREDICTING = ("plainnet", "matrix products", *LIBRARIES)


def create_implementation(name: str, threads: int) -> Implementation:
    """Import and create an implementation, before the process has computed anything."""
    module, cls = IMPLEMENTATIONS[name]
    imported = import_module(f"benchmarks.implementations.{module}")
    implementation: Implementation = getattr(imported, cls)(threads)
    return implementation
