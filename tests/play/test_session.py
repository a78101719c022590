"""The history of a session: replayed, undone and linked to the same bytes, without a browser."""

import subprocess
import sys

import numpy as np
import pytest

from plainnet import textbook
from plainnet.errors import PlainnetError
from plainnet.play.exports import model_file, training_script
from plainnet.play.findings import findings
from plainnet.play.history import read_link
from plainnet.play.session import Session
from plainnet.play.settings import DATA, Settings
from plainnet.play.step_view import step_view


def theta(session):
    return session.phase.net.params.theta.tobytes()


def session_with(**values):
    session = Session()
    session.change({"points": 60, **values})
    return session


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"optimizer": "sgd", "batch_size": "full", "schedule": "cosine"},
        {"dropout": 0.3, "l2": 0.01, "batch_size": 7},
        {"data": "blobs", "classes": 4, "hidden": [5], "activation": ["relu"]},
        {"data": "waves", "hidden": [], "activation": ["relu"]},
        {"data": "introverts", "validation_fraction": 0},
    ],
    ids=["adam", "full batch", "dropout", "classes", "regression", "table"],
)
def test_any_step_is_reached_with_the_same_bytes(values):
    session = session_with(**values)
    seen = {0: theta(session)}
    for n in (1, 2, 5, 8, 24, 31, 60, 100):
        session.advance(batches=n)
        seen[session.history.step] = theta(session)
    curve = session.run.curve()
    for step in (3, 231, 40, 0, 16, 171, 1, 8, 71, 131):
        session.seek(step)
        if step in seen:
            assert theta(session) == seen[step], step
    session.advance(batches=5)  # continues from there
    after = theta(session)
    session.seek(session.history.total)
    assert theta(session) == seen[231]
    session.seek(136)
    assert theta(session) == after
    assert np.array_equal(session.run.curve(), curve, equal_nan=True)


def test_link_undo_and_redo_reproduce_bytes():
    session = session_with(hidden=[6], activation=["tanh"])
    session.advance(batches=50)
    session.change({"lr": 0.1})  # keeps the weights
    assert session.history.step == 50
    session.advance(batches=33)
    end, link = theta(session), session.history.link()
    session.seek(60)
    middle, middle_link = theta(session), session.history.link()
    session.change({"optimizer": "sgd", "l2": 0.1})
    session.advance(batches=4)
    session.change({"hidden": [3, 3], "activation": ["relu", "relu"]})  # starts anew
    assert session.history.step == 0
    session.undo()
    assert session.history.step == 64
    session.undo()
    assert theta(session) == middle
    assert session.history.link() == middle_link
    session.seek(83)
    assert theta(session) == end
    for text, expected in ((link, end), (middle_link, middle)):
        again = Session(read_link(text))
        assert theta(again) == expected
        assert again.history.link() == text
    session.redo()
    session.redo()
    assert session.settings.config.hidden == (3, 3)
    with pytest.raises(PlainnetError, match="no change"):
        session.redo()


def test_two_runs_from_one_seed_go_on_together():
    session = session_with()
    session.advance(batches=20)
    kept = session.history
    session.compare()
    session.change({"lr": 0.1})
    session.restart()
    session.advance(batches=50)  # beyond the 20 steps of the other run
    alone = {lr: session_with(lr=lr) for lr in (0.02, 0.1)}
    for run in alone.values():
        run.advance(batches=50)
    link = session.history.link()
    for step in (50, 33, 7, 20, 0, 49):
        session.seek(step)
        for run, lr in ((session.run, 0.1), (session.beside, 0.02)):
            alone[lr].seek(step)
            assert run.phase.step == step
            assert run.phase.net.params.theta.tobytes() == theta(alone[lr])
            assert run.curve() == alone[lr].run.curve()
    again = Session(read_link(link))
    assert again.history.link() == link
    assert again.beside.phase.net.params.theta.tobytes() != theta(again)
    session.end_comparison()
    assert session.beside is None
    session.undo()
    assert session.history.beside.settings == kept.settings
    for _ in range(3):
        session.undo()
    assert (session.beside, session.history) == (None, kept)


def test_a_change_of_one_run_leaves_the_other_alone():
    session = session_with(lr=0.01)
    session.advance(batches=30)
    session.compare()
    assert theta(session) == session.beside.phase.net.params.theta.tobytes()
    for values in ({"lr": 0.3}, {"hidden": [3], "activation": ["tanh"]}, {"data": "waves"}):
        session.change(values)
        session.advance(batches=40)
        alone = session_with(lr=0.01)
        alone.advance(batches=session.history.step)
        assert session.beside.phase.net.params.theta.tobytes() == theta(alone)
    session.change({"optimizer": "sgd", "lr": 10})
    session.advance(batches=100)
    assert session.phase.failure is not None
    assert session.beside.phase.failure is None


def test_momentum_is_left_behind_by_other_optimizers():
    session = session_with(optimizer="sgd", momentum=0.9)
    session.change({"optimizer": "adam"})
    assert session.settings.config.momentum == 0
    session.undo()
    assert session.settings.config.momentum == 0.9


def test_only_options_of_the_training_keep_the_weights():
    session = session_with()
    session.advance(batches=10)
    before = theta(session)
    for values in ({"lr": 0.5}, {"dropout": 0.2}, {"batch_size": 5}, {"optimizer": "rmsprop"}):
        session.change(values)
        assert theta(session) == before
    session.change({"seed": 1})
    assert theta(session) != before
    assert session.history.step == 0


def test_numbers_of_a_step_are_those_of_the_textbook():
    session = session_with(activation=["relu", "relu"], optimizer="sgd", lr=0.1)
    session.advance(batches=25)
    phase, view = session.phase, step_view(session.phase, 1, 2)
    views = phase.net.params.views
    parameters = {f"{p}{i}": views[f"dense{i}.{p}"].copy() for i in (1, 2, 3) for p in "Wb"}
    X, y = np.array(view["X"]), np.array(view["y"])
    A = textbook.forward(X, parameters)
    gradients = textbook.backward(A, y, parameters)
    after = textbook.gradient_descent(parameters, gradients, 0.1)
    # The forward pass agrees to the bit. The engine sums dW and db in another order, and takes
    # the sigmoid of dZ from the loss, which cannot overflow: the last digits differ.
    near = {"rtol": 1e-12, "atol": 1e-15}
    np.testing.assert_allclose(view["loss"], textbook.cross_entropy(A[-1], y), **near)
    np.testing.assert_array_equal(view["A"], A[-1])
    for i, layer in enumerate(view["layers"], 1):
        Z = textbook.linear_forward(A[i - 1], parameters[f"W{i}"], parameters[f"b{i}"])
        np.testing.assert_array_equal(layer["Z"], Z)
        if i < 3:
            np.testing.assert_array_equal(layer["A"], A[i])
        for p in "Wb":
            np.testing.assert_allclose(layer["d" + p], gradients[f"d{p}{i}"], **near)
            change = after[f"{p}{i}"] - parameters[f"{p}{i}"]
            np.testing.assert_allclose(layer["change_" + p], change, rtol=1e-10, atol=1e-15)
    slopes = view["numeric"]["W"]
    np.testing.assert_allclose(slopes, gradients["dW2"][2], rtol=1e-6, atol=1e-9)
    session.advance(batches=1)  # takes the step that the view announced
    np.testing.assert_allclose(session.phase.net.params.views["dense2.W"], after["W2"], **near)


def test_view_belongs_to_its_data():
    session = session_with(data="introverts")
    session.view((4, 6), {2: 0.5})
    chosen = session.run.plane
    assert (chosen.axes, chosen.fixed[2]) == ((4, 6), 0.5)
    session.change({"data": "moons"})
    assert session.run.plane.axes == (0, 1)
    session.undo()
    session.view((4, 6), {})
    session.redo()
    assert session.run.plane.axes == (0, 1)
    with pytest.raises(PlainnetError, match="features 0 to 1"):
        session.view((0, 2), {})


def test_step_view_changes_nothing():
    session = session_with(dropout=0.4)
    session.advance(batches=3)
    session.seek(3)
    twin = session_with(dropout=0.4)
    twin.advance(batches=3)
    step_view(session.phase, 0, 0)
    for each in (session, twin):
        each.advance(batches=20)
    assert theta(session) == theta(twin)


@pytest.mark.parametrize("data", [name for name in DATA if name not in ("drawn", "table")])
def test_every_data_set_is_learned(data):
    session = session_with(data=data, points=200)
    first = session.phase.losses_of_all()[0]
    session.advance(epochs=20)
    assert session.phase.losses_of_all()[0] < 0.9 * first


def test_exported_python_prints_the_losses_of_the_page(tmp_path):
    session = session_with(data="blobs", classes=3, batch_size=10)
    session.advance(epochs=5)
    session.change({"lr": 0.05, "l2": 0.001})
    session.advance(epochs=7)
    (tmp_path / "train.py").write_bytes(training_script(session))
    run = [sys.executable, str(tmp_path / "train.py")]
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    _, loss, validation = session.run.curve()[-1]
    assert (float(printed[-4]), float(printed[-1])) == (loss, validation)


def test_model_file_predicts_as_the_page(tmp_path):
    from plainnet import Model

    session = session_with()
    session.advance(epochs=3)
    (tmp_path / "m.safetensors").write_bytes(model_file(session))
    model = Model.load(tmp_path / "m.safetensors")
    X = session.phase.data.train.X[:5]
    np.testing.assert_array_equal(model.net.predict_logits(X), session.phase.net.predict_logits(X))


def test_a_loss_that_is_not_finite_ends_the_training_and_can_be_left():
    session = session_with(data="waves", optimizer="sgd", activation=["relu", "relu"], lr=10)
    session.advance(batches=200)
    assert "lower the learning rate" in session.phase.failure
    step = session.history.step
    session.advance(batches=5)
    assert session.history.step == step
    [finding, *_] = findings(session)
    assert finding["name"] in ("learning rate too high", "cost not finite")
    session.undo()
    session.advance(batches=5)
    assert session.phase.failure is None


def test_doctor_offers_a_remedy_that_helps():
    session = session_with(init="zeros", activation=["relu", "relu"])
    session.advance(epochs=20)
    remedy = next(each["remedy"] for each in findings(session) if each["level"] == "problem")
    assert remedy == {"init": "he_normal"}
    session.change(remedy)
    session.advance(epochs=20)
    assert not [each for each in findings(session) if each["level"] == "problem"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"data": "cat"}, "data must be"),
        ({"hidden": [0]}, "1 to 64"),
        ({"hidden": [8] * 9}, "at most 8 hidden layers"),
        ({"hidden": "8"}, "hidden"),
        ({"points": 10**6}, "points"),
        ({"noise": float("nan")}, "noise"),
        ({"engine": "compiled"}, "no setting"),
        ({"config": {}}, "no setting"),
        ({"lr": "0.1"}, "lr"),
        ({"lr": 0}, "lr"),
        ({"data": "table", "table": "feed"}, "drop its file"),
        ({"data": "drawn", "drawn": [[0, 0, 0], [1, 1]]}, "two numbers and a class"),
        ({"data": "drawn", "drawn": [[0, 0, 99]]}, "class from 0 to 7"),
        ({"data": "drawn"}, "Draw at least"),
        ({"momentum": 0.9}, "momentum"),
    ],
)
def test_wrong_settings_get_one_sentence_and_change_nothing(values, sentence):
    session = Session()
    session.advance(batches=3)
    link, before = session.history.link(), theta(session)
    with pytest.raises(PlainnetError, match=sentence):
        session.change(values)
    assert (session.history.link(), theta(session)) == (link, before)
    assert not session.done


def test_settings_survive_json():
    settings = Settings().changed({"data": "drawn", "drawn": [[0, 1, 1]], "batch_size": "full"})
    assert Settings().changed(settings.to_json()) == settings


def test_history_of_10_000_steps_takes_little_memory():
    import tracemalloc

    session = Session()
    session.advance(batches=100)
    tracemalloc.start()
    session.advance(batches=2000)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert 5 * used < 50e6
