"""The doctor on convolutional networks: it names the fault, and a command that works."""

import re

import numpy as np
import pytest
from PIL import Image

from plainnet.cli.options import command_arguments
from plainnet.config import TrainConfig
from plainnet.data.synthetic import pandas_and_bears
from plainnet.diagnose.watch import DoctorWatch
from plainnet.training import train

# name: (options, findings of which one is required, its advice begins with)
FAULTY = {
    "lr 1": ({"lr": 1.0}, "learning rate too high", "--lr 0.0"),
    "lr 1e-6": ({"lr": 1e-6}, "base rate|learning rate too low", "--lr "),
    "kernel": ({"kernel": 1}, "kernels of one pixel", "--kernel 3"),
    "small": ({"size": 2}, "small pictures", "--size 16"),
    "no augmentation": ({"augment": ()}, "few rows", "--augment shift turn"),
    "too strong": ({"dropout": 0.9}, "strong dropout", "--dropout 0.2"),
    "too narrow": ({"channels": (1, 1), "epochs": 3}, "underfitting|base rate", ".*--channels 16"),
    "zeros": ({"init": "zeros"}, "base rate", "--init he_normal"),
}


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    """Drawings that nearest neighbors tell apart: pandas are darker."""
    folder = tmp_path_factory.mktemp("drawings")
    X, y, classes = pandas_and_bears(80, size=12)
    X = (X // np.where(y, 2, 1)[:, None, None, None]).astype(np.uint8)
    for i, (pixels, k) in enumerate(zip(X, y, strict=True)):
        (folder / classes[k]).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / classes[k] / f"{i}.png")
    return folder


def diagnosed(folder, options):
    """Train as `plainnet doctor` does and return the findings."""
    config = TrainConfig(**({"size": 12, "epochs": 10, "channels": (8, 16)} | options))
    watch = DoctorWatch(config)
    run = train(folder, config, ready=watch.ready, watch=watch.watch, evaluate=False)
    return watch.findings(run)


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_found_with_advice_that_works(name, drawings, cli):
    options, expected, advice = FAULTY[name]
    findings = diagnosed(drawings, options)
    assert any(
        re.fullmatch(expected, one.name) and re.match(advice, one.advice) for one in findings
    ), findings
    quick = {"size": 8, "epochs": 1, "channels": (4,)}
    for changed in [{**quick, **one.options} for one in findings if one.options]:
        assert not changed.keys() & {"hidden", "batch_norm", "layer_norm", "patience"}
        arguments = command_arguments(TrainConfig(**changed), str(drawings))
        outcome = cli(*arguments[1:])
        assert outcome.code == 0, outcome.err


def test_checks_of_convolutions_are_silent_about_usual_networks(drawings):
    findings = diagnosed(drawings, {"epochs": 30, "channels": TrainConfig.channels})
    named = {"kernels of one pixel", "small pictures", "underfitting", "learning rate too high"}
    assert not named & {one.name for one in findings}
