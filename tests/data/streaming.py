"""What tests of tables and of pictures larger than memory share."""

from pathlib import Path

import numpy as np
import pytest

from plainnet.config import TrainConfig
from plainnet.storage.checkpoints import Checkpoints
from plainnet.training import resume, train


def require_exact_resume(path: Path, config: TrainConfig, folder: Path) -> None:
    """Stop a training after an epoch, resume it within the epoch, and compare all bytes."""
    full = train(path, config, evaluate=False)

    def fail(epoch: object) -> None:
        raise ZeroDivisionError

    checkpoints = Checkpoints(folder, every=0.4)
    with pytest.raises(ZeroDivisionError):
        train(path, config, checkpoints=checkpoints, callbacks=[fail], evaluate=False)
    again = resume(Checkpoints.load(folder), evaluate=False)
    np.testing.assert_array_equal(again.model.net.params.theta, full.model.net.params.theta)
    assert again.history.loss == full.history.loss
