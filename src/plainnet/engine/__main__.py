"""Compile the training steps once for this machine: python -m plainnet.engine."""

import subprocess
import sys
import time

from plainnet.engine.choice import load_interpreter


def main() -> None:
    """Compile for each dtype in a process of its own; what is stored already takes a second."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "plainnet.engine"]
    processes = [subprocess.Popen([*command, dtype]) for dtype in ("float32", "float64")]
    for process in processes:
        if process.wait():
            raise SystemExit(1)
    print(f"Compiled steps are ready ({time.perf_counter() - start:.1f} s).")


if __name__ == "__main__":
    if sys.argv[1:]:
        load_interpreter(sys.argv[1])
    else:
        main()
