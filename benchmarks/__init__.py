"""How fast plainnet is, beside PyTorch, JAX, scikit-learn and the bare matrix products."""
