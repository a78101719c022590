"""Benchmarks of plainnet, PyTorch, JAX, scikit-learn and the bare matrix products."""
