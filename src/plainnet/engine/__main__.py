"""Compile the training steps once for this machine: python -m plainnet.engine."""

import time

from plainnet.engine.choice import load_interpreter


def main() -> None:
    """Compile for both dtypes and print the time; what is stored already takes a second."""
    start = time.perf_counter()
    for dtype in ("float32", "float64"):
        load_interpreter(dtype)
    print(f"Compiled steps are ready ({time.perf_counter() - start:.1f} s).")


if __name__ == "__main__":
    main()
