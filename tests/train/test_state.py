"""Training resumed from any checkpoint gives the same bits as uninterrupted training."""

import copy
import signal
from collections.abc import Callable
from typing import Any, final

import numpy as np
import pytest

from plainnet.errors import PlainnetError, TrainingError
from plainnet.nn import (
    BinaryCrossEntropy,
    MeanSquaredError,
    SoftmaxCrossEntropy,
    mlp,
)
from plainnet.optim import SGD, Adam, AdamW, Constant, Cosine, OneCycle, RMSprop, StepDecay, WarmUp
from plainnet.storage.checkpoints import Checkpoints
from plainnet.storage.model_file import read_model, write_model
from plainnet.train import EarlyStopping
from plainnet.train.fit import fit
from plainnet.train.state import Checkpoint, CheckpointStore

BCE, MSE = BinaryCrossEntropy(), MeanSquaredError()


@final
class Memory(CheckpointStore):
    """Store copies of all checkpoints of a training."""

    def __init__(self, every: float | None = None, checkpoint: Checkpoint | None = None) -> None:
        self.every, self.checkpoint, self.kept = every, checkpoint, []

    def begin(self, net, train_step, rows, options):
        self.batches = options["batches"]

    def save(self, checkpoint):
        self.kept.append(copy.deepcopy(checkpoint))


def rows(m: int = 22, n: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    X = rng.standard_normal((m, n)).astype(np.float32)
    return X, (X[:, 0] + rng.standard_normal(m) > 0).astype(np.float32)


def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    return rng.integers(0, 256, (18, 3, 3, 3), np.uint8), rng.integers(0, 2, 18)


def to_rows(X: np.ndarray) -> np.ndarray:
    return X.reshape(len(X), -1).astype(np.float32) / 255 - np.float32(0.5)


def case(
    net: Callable[[], Any] = lambda: mlp(3, (4,), seed=3),
    data: Callable[[], tuple[np.ndarray, np.ndarray]] = rows,
    **options: Any,
) -> Callable[..., tuple[Any, Any]]:
    """A training that can be repeated from its definition alone."""
    chosen = {"loss": BCE, "epochs": 5, "batch_size": 6, "logits_metric": BCE.metric, **options}

    def run(checkpoints: CheckpointStore | None = None, **more: Any) -> tuple[Any, Any]:
        network = net()
        given = {key: value() if key == "seed" else value for key, value in chosen.items()}
        history = fit(network, *data(), checkpoints=checkpoints, **{**given, **more})
        return network, history

    return run


def dropping() -> Any:
    return mlp(3, (6, 5), dropout=0.4, batch_norm=True, seed=3)


def wide() -> Any:
    return mlp(300, (5, 4), dropout=0.3, batch_norm=True, seed=3)


CASES = {
    "mini-batches": case(),
    "all rows at once": case(batch_size=None),
    "dropout": case(lambda: mlp(3, (6, 5), dropout=0.4, seed=3)),
    "batch norm": case(lambda: mlp(3, (6,), batch_norm=True, seed=3)),
    "layer norm and float64": case(lambda: mlp(3, (6,), layer_norm=True, dtype=np.float64)),
    "momentum, clipped": case(optimizer=SGD(0.1, 0.9, nesterov=True), clip_norm=0.3, l2=0.01),
    "Adam with warm-up": case(optimizer=Adam(WarmUp(Cosine(0.1, 15), 5))),
    "AdamW in one cycle": case(optimizer=AdamW(OneCycle(0.1, 20), weight_decay=0.1)),
    "RMSprop in steps": case(optimizer=RMSprop(StepDecay(0.01, 3))),
    "validation rows drawn": case(dropping, validation_fraction=0.3, optimizer=Adam(0.05)),
    "early stopping": case(
        dropping,
        validation_data=rows(9),
        optimizer=Adam(0.3),
        epochs=30,
        early_stopping=EarlyStopping(3, 0.001),
    ),
    "early stopping that restores at the end": case(
        validation_data=rows(9), optimizer=SGD(4.0), early_stopping=EarlyStopping(50)
    ),
    "class and row weights": case(
        lambda: mlp(3, (4,), 3, seed=3),
        lambda: (rows()[0], np.arange(22) % 5 % 3),
        loss=SoftmaxCrossEntropy(),
        logits_metric=SoftmaxCrossEntropy().metric,
        class_weight="balanced",
        sample_weight=np.linspace(0.5, 2, 22),
    ),
    "pictures": case(
        lambda: mlp(27, (5,), dropout=0.2), pictures, transform=to_rows, optimizer=Adam(0.01)
    ),
    "pictures at once": case(
        lambda: mlp(27, (5,), seed=3),
        pictures,
        transform=to_rows,
        batch_size=None,
        validation_fraction=0.2,
    ),
    "row space": case(wide, lambda: rows(22, 300), optimizer=SGD(0.05, 0.9), epochs=40),
    "row space and early stopping": case(
        wide,
        lambda: rows(22, 300),
        optimizer=SGD(0.3, 0.9),
        epochs=40,
        validation_fraction=0.3,
        early_stopping=EarlyStopping(4),
        batch_size=None,
    ),
    "another generator": case(dropping, seed=lambda: np.random.Generator(np.random.MT19937(4))),
    "no metric": case(logits_metric=None, loss=MSE),
}


def after(network: Any, history: Any) -> tuple[bytes, dict[str, Any], Any]:
    """Return the complete result of a training, without its duration."""
    return network.params.theta.tobytes(), history.record(), network.rng.bit_generator.state


def through_a_file(checkpoint: Checkpoint, path: Any) -> Checkpoint:
    write_model(path, checkpoint.arrays, {"metadata": checkpoint.metadata}, "checkpoint")
    arrays, header = read_model(path, "checkpoint")
    return Checkpoint(arrays, header["metadata"])


@pytest.mark.parametrize("name", CASES)
def test_training_resumes_from_every_step(name, tmp_path):
    run = CASES[name]
    uninterrupted = after(*run())
    memory = Memory(every=1e-9)  # before every batch
    assert after(*run(memory)) == uninterrupted  # keeping changes nothing
    steps = [checkpoint.metadata["step"] for checkpoint in memory.kept]
    assert steps == list(range(len(uninterrupted[1]["loss"]) * memory.batches))
    for checkpoint in memory.kept[:: len(steps) // 8 | 1]:  # an odd step: all places in an epoch
        checkpoint = through_a_file(checkpoint, tmp_path / "checkpoint")
        assert after(*run(Memory(checkpoint=checkpoint))) == uninterrupted, checkpoint.metadata


def test_cases_match_their_names():
    histories = {name: run()[1] for name, run in CASES.items()}
    spaces = {name for name, history in histories.items() if history.row_space is not None}
    assert spaces >= {"row space", "row space and early stopping", "pictures at once"}
    assert "pictures" not in spaces
    stopped = {name for name, history in histories.items() if history.stopped != "epochs"}
    assert stopped == {"early stopping", "row space and early stopping"}
    restored = histories["early stopping that restores at the end"]
    assert 1 < restored.best_epoch < 5
    assert histories["early stopping"].best_epoch > 1


def test_training_resumes_after_repeated_interruptions():
    run, uninterrupted = CASES["dropout"], after(*CASES["dropout"]())
    checkpoint = None
    for step in range(2, 20, 3):
        memory = Memory(every=1e-9, checkpoint=checkpoint)
        run(memory, callbacks=[])
        checkpoint = next(c for c in memory.kept if c.metadata["step"] == step)
    assert after(*run(Memory(checkpoint=checkpoint))) == uninterrupted


@pytest.mark.parametrize(("every", "steps"), [(1, [0, 4, 8]), (0.5, range(0, 12, 2)), (2, [0, 8])])
def test_checkpoint_interval_is_in_epochs(every, steps):
    memory = Memory(every)
    CASES["mini-batches"](memory, epochs=3)
    assert [checkpoint.metadata["step"] for checkpoint in memory.kept] == list(steps)


def test_resumed_training_uses_the_same_threads():
    first = Memory(1)
    CASES["mini-batches"](first)
    first.kept[2].metadata["threads"] = 7  # as on a machine that had them then
    assert CASES["mini-batches"](Memory(checkpoint=first.kept[2]))[1].threads == 7


def test_resumed_state_is_not_saved_again_immediately():
    first = Memory(1)
    CASES["mini-batches"](first)
    second = Memory(1, checkpoint=first.kept[2])
    CASES["mini-batches"](second)
    assert [c.metadata["step"] for c in second.kept] == [12, 16]


def test_nonfinite_state_is_saved(tmp_path):
    """Adam's mean square may overflow without ending the training, so it must be saved."""
    memory = Memory(1e-9)
    CASES["Adam with warm-up"](memory)
    checkpoint = memory.kept[3]
    checkpoint.arrays["optimizer.v"][0] = np.inf
    checkpoint = through_a_file(checkpoint, tmp_path / "checkpoint")
    assert np.isinf(checkpoint.arrays["optimizer.v"][0])


# --- Ctrl-C


def pressing(step: int) -> Callable[..., float]:
    """A metric that raises SIGINT in a given step, counted from 1."""
    steps = []

    def metric(Z, y):
        steps.append(1)
        if len(steps) == step:
            signal.raise_signal(signal.SIGINT)
        return BCE.metric(Z, y)

    return metric


@pytest.mark.parametrize("step", [1, 3, 4, 5, 11, 19])
@pytest.mark.parametrize("every", [None, 1])
def test_ctrl_c_saves_the_current_step(step, every):
    run, uninterrupted = CASES["dropout"], after(*CASES["dropout"]())
    memory = Memory(every)
    _, history = run(memory, logits_metric=pressing(step))
    assert history.stopped == "interrupted"
    assert memory.kept[-1].metadata["step"] == step
    assert after(*run(Memory(checkpoint=memory.kept[-1]))) == uninterrupted


def test_ctrl_c_in_the_last_step_has_no_effect():
    run, memory = CASES["dropout"], Memory()
    uninterrupted = after(*run())
    assert after(*run(memory, logits_metric=pressing(20))) == uninterrupted
    assert memory.kept == []


def test_ctrl_c_between_two_epochs():
    run, memory = CASES["dropout"], Memory()

    def press(epoch):
        if epoch.number == 2:
            signal.raise_signal(signal.SIGINT)

    _, history = run(memory, watch=press)
    assert (history.stopped, len(history)) == ("interrupted", 2)
    [checkpoint] = memory.kept
    assert (checkpoint.metadata["epoch"], checkpoint.metadata["batch"]) == (3, 0)
    assert after(*run(Memory(checkpoint=checkpoint))) == after(*run())


@pytest.mark.parametrize("name", ["early stopping", "row space and early stopping"])
def test_ctrl_c_in_the_early_stopping_epoch_has_no_effect(name):
    run, memory = CASES[name], Memory()
    uninterrupted = after(*run())

    def press(epoch):
        if epoch.number == len(uninterrupted[1]["loss"]):
            signal.raise_signal(signal.SIGINT)

    assert after(*run(memory, watch=press)) == uninterrupted
    assert memory.kept == []


# --- another training

REFUSED = {
    "data": ({"data": lambda: (rows()[0], 1 - rows()[1])}, {}, "with other rows"),
    "one number": ({"data": lambda: (rows()[0] + np.eye(22, 3) * 1e-6, rows()[1])}, {}, "rows"),
    "row weights": ({}, {"sample_weight": np.linspace(1, 2, 22)}, "with other rows"),
    "class weights": ({}, {"class_weight": {0: 1.0, 1: 2.0}}, "with other rows"),
    "validation rows": ({}, {"validation_fraction": 0.1}, "with other rows"),
    "transform": ({}, {"transform": lambda X: X * 2}, "with other rows"),
    "network": ({"net": lambda: mlp(3, (5,), seed=3)}, {}, "with other network"),
    "activation": ({"net": lambda: mlp(3, (4,), activation="tanh")}, {}, "with other network"),
    "loss": ({}, {"loss": BinaryCrossEntropy(0.1)}, "with other loss"),
    "kind of loss": ({}, {"loss": MSE}, "with other loss"),
    "learning rate": ({}, {"optimizer": SGD(0.02)}, "with other optimizer"),
    "momentum": ({}, {"optimizer": SGD(0.01, 0.5)}, "with other optimizer"),
    "optimizer": ({}, {"optimizer": Adam(0.01)}, "with other optimizer"),
    "schedule": ({}, {"optimizer": SGD(WarmUp(Constant(0.01), 3))}, "with other optimizer"),
    "epochs": ({}, {"epochs": 6}, "with epochs 5, not with epochs 6"),
    "batch size": ({}, {"batch_size": 7}, "with batch size 6, not with batch size 7"),
    "full batch": ({}, {"batch_size": None}, "with batch size 6, not with batch size None"),
    "l2": ({}, {"l2": 0.5}, "with l2 0.0, not with l2 0.5"),
    "clip_norm": ({}, {"clip_norm": 1.0}, "with clip norm None, not with clip norm 1.0"),
    "metric": ({}, {"logits_metric": None}, "with metric True, not with metric False"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_state_of_another_training_raises(what, tmp_path):
    changed, more, telling = REFUSED[what]
    with pytest.raises(KeyboardInterrupt):
        CASES["mini-batches"](Checkpoints(tmp_path / "run", 1), watch=interrupt(3))
    other = case(**changed)
    with pytest.raises(PlainnetError) as error:
        other(Checkpoints.load(tmp_path / "run"), **more)
    message = str(error.value)
    assert message.startswith(f"the training in '{tmp_path / 'run'}' was begun with ")
    assert telling in message
    assert message.endswith(": it can only be resumed as it was begun")


def test_initial_weights_matter_only_in_the_row_space(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        CASES["mini-batches"](Checkpoints(tmp_path / "a.run", 1), watch=interrupt(3))
    other = case(lambda: mlp(3, (4,), seed=99))
    assert after(*other(Checkpoints.load(tmp_path / "a.run"))) == after(*CASES["mini-batches"]())

    with pytest.raises(KeyboardInterrupt):
        CASES["row space"](Checkpoints(tmp_path / "b.run", 1), watch=interrupt(3))
    other = case(
        lambda: mlp(300, (5, 4), dropout=0.3, batch_norm=True, seed=99),
        lambda: rows(22, 300),
        optimizer=SGD(0.05, 0.9),
        epochs=40,
    )
    with pytest.raises(PlainnetError, match="was begun with other first weights"):
        other(Checkpoints.load(tmp_path / "b.run"))


def test_other_rows_are_detected_in_the_row_space(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        CASES["row space"](Checkpoints(tmp_path / "run", 1), watch=interrupt(3))
    X, y = rows(22, 300)
    X[0, 0] = np.nextafter(X[0, 0], np.float32(9))
    other = case(wide, lambda: (X, y), optimizer=SGD(0.05, 0.9), epochs=40)
    with pytest.raises(PlainnetError, match="was begun with other rows"):
        other(Checkpoints.load(tmp_path / "run"))


def interrupt(number: int) -> Callable[[Any], None]:
    def watch(epoch):
        if epoch.number == number:
            raise KeyboardInterrupt

    return watch


def test_invalid_checkpoint_raises():
    memory = Memory(1)
    CASES["mini-batches"](memory)
    with pytest.raises(PlainnetError) as error:
        case(lambda: mlp(3, (5,), seed=3))(Memory(checkpoint=memory.kept[1]))
    assert str(error.value) == (
        "the checkpoint does not fit this training: 'theta' has shape (26,) and type float32"
    )
    with pytest.raises(PlainnetError, match="the checkpoint does not fit this training: 'optimiz"):
        CASES["mini-batches"](Memory(checkpoint=memory.kept[1]), optimizer=Adam(0.1))
    other = np.random.Generator(np.random.MT19937(4))
    with pytest.raises(PlainnetError, match="does not fit this training: state must be for a MT"):
        CASES["mini-batches"](Memory(checkpoint=memory.kept[1]), seed=other)


def test_shared_generator_for_masks_and_order_raises():
    net = dropping()
    with pytest.raises(PlainnetError) as error:
        fit(net, *rows(), loss=BCE, seed=net.rng, checkpoints=Memory(1))
    assert str(error.value) == "checkpoints need a seed other than the network's generator"


def test_nonfinite_loss_error_names_epoch_and_batch(tmp_path):
    """Resumed trainings count epochs and batches from the beginning."""
    run = case(loss=MSE, optimizer=SGD(1e20), logits_metric=None)
    with pytest.raises(TrainingError) as uninterrupted:
        run()
    memory = Memory(1e-9)
    with pytest.raises(TrainingError):
        run(memory)
    with pytest.raises(TrainingError) as rest:
        run(Memory(checkpoint=memory.kept[-1]))
    assert len(memory.kept) > 1
    assert str(rest.value) == str(uninterrupted.value)
