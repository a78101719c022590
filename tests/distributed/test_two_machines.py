"""Two emulated machines: train, kill one, resume."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "two_machines.sh"


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces belong to Linux")
def test_a_training_survives_the_death_of_a_machine(tmp_path):
    environment = {**os.environ, "PYTHON": sys.executable, "TMPDIR": str(tmp_path)}
    command = ["sh", str(SCRIPT)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    if run.returncode == 77:
        pytest.skip(run.stdout.strip())
    assert run.returncode == 0, run.stdout + run.stderr
    _, after = run.stdout.split("Killing machine B\n")
    assert (
        "To resume after an interruption: mpiexec -n 2 plainnet train --resume survey.run" in after
    )
    assert "Resuming at epoch " in after
    assert "Trained 12 epochs, the last " in after
    assert after.count("Saved: survey.safetensors") == 1
