"""OpenBLAS's threads share the optimizer's pass: the bytes stay the same."""

import subprocess
import sys

import pytest

pytest.importorskip("numba", reason="compiled steps need the extra fast")

# OpenBLAS has two threads in a process of its own, as tests run with one.
CODE = """
import os, sys
import numpy as np
from plainnet import Adam, AdamW, RMSprop, SGD, fit
from plainnet.engine import compiled, shared_update
from plainnet.engine.blas_threads import available_threads
from plainnet.nn import SoftmaxCrossEntropy, mlp

rng = np.random.default_rng(0)
X, y = rng.normal(size=(600, 300)), rng.integers(0, 3, 600)

def trained(threads, optimizer, dtype, **options):
    compiled.available_threads = lambda: threads
    net = mlp(300, (200, 90), 3, dtype=dtype, seed=1)
    fit(net, X, y, loss=SoftmaxCrossEntropy(), optimizer=optimizer(), epochs=2, batch_size=128,
        engine="compiled", seed=0, **options)
    return net.params.theta.tobytes()

assert shared_update.exec_address() == 0 or available_threads() == 2
kinds = [lambda: SGD(0.1), lambda: SGD(0.1, momentum=0.9), lambda: RMSprop(0.01),
         lambda: SGD(0.1, momentum=0.9, nesterov=True), lambda: Adam(0.01), lambda: AdamW(0.01)]
for dtype in ("float32", "float64"):
    for kind in kinds:
        for options in ({}, {"l2": 0.01, "clip_norm": 1.0}):
            one, two, three = (trained(n, kind, dtype, **options) for n in (1, 2, 2))
            print(one == two == three, end=" ", flush=True)
child = os.fork()
if not child:  # where OpenBLAS begins its threads anew
    os._exit(trained(2, kinds[4], "float32") != trained(1, kinds[4], "float32"))
print(os.waitpid(child, 0)[1] == 0, shared_update.exec_address() != 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux are OpenBLAS's threads used")
def test_parts_change_no_byte(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == 26 * ["True"], done.stderr
