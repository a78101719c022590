"""Ctrl-C: the first ends one training with a warning, the second ends everything."""

import math
import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

from plainnet import History, NetClassifier
from plainnet.estimators.api import PAUSE, Interruption

TOLD = "Training interrupted by user"
SCRIPT = """
import sys
import numpy as np
from sklearn.model_selection import cross_val_score
from plainnet import NetClassifier

folds = 0

def tell(epoch):
    global folds
    if epoch.number == 1:
        folds += 1
        print("fold", folds, flush=True)
    return folds > int(sys.argv[1])  # those after that end at once

X = np.random.default_rng(0).normal(size=(60, 2))
net = NetClassifier((2,), epochs=10**9, engine="numpy", callbacks=[tell])
scores = cross_val_score(net, X, np.arange(60) % 2, cv=5)
print(len(scores), "scores", np.isfinite(scores).all(), flush=True)
"""


def cross_validation(endless: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, str(endless)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def interrupt(process: "subprocess.Popen[str]", fold: int) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == f"fold {fold}\n"
    os.kill(process.pid, signal.SIGINT)


def test_first_ctrl_c_ends_one_training_with_a_warning():
    with cross_validation(endless=1) as process:
        interrupt(process, 1)
        out, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[-1] == "5 scores True"
    assert stderr.count("UserWarning: Training interrupted by user. NetClassifier after ") == 1


def test_second_ctrl_c_ends_the_cross_validation():
    with cross_validation(endless=5) as process:
        interrupt(process, 1)
        interrupt(process, 2)
        out, stderr = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "scores" not in out
    assert stderr.splitlines()[-1] == "KeyboardInterrupt"


def test_second_ctrl_c_some_folds_later():
    interruption, interrupted, complete = Interruption(), History(stopped="interrupted"), History()
    with pytest.warns(UserWarning, match=TOLD):
        interruption.record(interrupted, 0.0, "NetClassifier")
    for _ in range(3):
        interruption.record(complete, interruption.ended + PAUSE / 2, "NetClassifier")
    with pytest.raises(KeyboardInterrupt):
        interruption.record(interrupted, interruption.ended + PAUSE / 2, "NetClassifier")
    with pytest.warns(UserWarning, match=TOLD):  # which has begun a new count
        interruption.record(interrupted, interruption.ended, "NetClassifier")


def test_ctrl_c_after_a_pause_counts_as_first():
    interruption, interrupted = Interruption(), History(stopped="interrupted")
    for began in (0.0, math.inf):
        with pytest.warns(UserWarning, match=TOLD):
            interruption.record(interrupted, began, "NetClassifier")


def test_interrupted_training_is_kept():
    def press(epoch):
        if epoch.number == 3:
            os.kill(os.getpid(), signal.SIGINT)

    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    with pytest.warns(UserWarning, match=TOLD) as warned:
        net = NetClassifier((2,), epochs=50, callbacks=[press]).fit(X, y)
    assert str(warned[0].message) == (
        "Training interrupted by user. NetClassifier after 3 epochs is kept; a second Ctrl-C, also "
        "in a training that follows at once, raises KeyboardInterrupt"
    )
    assert warned[0].filename == __file__
    assert net.n_iter_ == len(net.loss_curve_) == 3
    before = net.predict_proba(X)
    with pytest.raises(KeyboardInterrupt):
        net.set_params(lr=0.5).fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), before)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert net.set_params(callbacks=()).fit(X, y).n_iter_ == 50
