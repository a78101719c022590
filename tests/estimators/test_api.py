"""The estimators pass scikit-learn's checks, and train without scikit-learn."""

import copy
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_estimator,
)

from plainnet import NetClassifier, NetRegressor, PlainnetError

both = pytest.mark.parametrize("kind", [NetClassifier, NetRegressor])


@both
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_estimator_checks_pass(kind, engine, request):
    options = {"engine": engine}
    if engine == "compiled":
        request.getfixturevalue("compiled")
        options |= {"lr": 0.01, "epochs": 20}  # as the defaults have been checked with NumPy
    with warnings.catch_warnings():
        # it checks whatever speaks the protocol, but would rather it inherited from its own class
        warnings.filterwarnings("ignore", ".*does not inherit from `sklearn.base.BaseEstimator`")
        warnings.filterwarnings("ignore", category=FutureWarning)
        results = check_estimator(kind(**options), on_fail=None, on_skip=None)
    assert len(results) > 50
    for result in results:
        if result["check_name"] == "check_array_api_input":
            continue  # needs a setting that scipy reads when it is imported: see below
        assert result["status"] == "passed", (result["check_name"], result["exception"])


def test_no_estimator_check_is_skipped_with_array_api():
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from sklearn.utils.estimator_checks import estimator_checks_generator as checks\n"
        "from plainnet import NetClassifier, NetRegressor\n"
        "for kind in (NetClassifier, NetRegressor):\n"
        "    for estimator, check in checks(kind(epochs=2)):\n"
        "        if check.func.__name__ == 'check_array_api_input': check(estimator); print('ok')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
    )
    if sklearn.__version__ < "1.7" and not done.stdout:
        pytest.skip("scikit-learn 1.6 checks this only where other arrays than NumPy's are taken")
    assert (done.returncode, done.stdout) == (0, "ok\nok\n"), done.stderr


@both
def test_dataframe_columns_are_checked_as_in_scikit_learn(kind):
    check_dataframe_column_names_consistency(kind.__name__, kind(epochs=2))


def test_estimator_types_are_recognized():
    assert is_classifier(NetClassifier())
    assert is_regressor(NetRegressor())
    assert not is_regressor(NetClassifier())


@pytest.mark.parametrize("blocked", [False, True])
def test_training_does_not_import_scikit_learn(blocked):
    code = f"""
import sys
if {blocked}:
    sys.modules["sklearn"] = None
import plainnet
from plainnet import NetClassifier, NetRegressor
net = NetClassifier(hidden=(4,), epochs=3)
try:
    net.predict([[1.0]])
except AttributeError as error:
    assert isinstance(error, plainnet.PlainnetError), error
    print(error)
net.fit([[0.0], [1.0]], ["no", "yes"]).predict([[1.0]])
NetRegressor(hidden=(4,), epochs=3).fit([[0.0], [1.0]], [0.0, 1.0]).score([[0.0], [1.0]], [0, 1])
repr(net), net.get_params(), net.set_params(lr=0.1)
print("sklearn" in sys.modules and sys.modules["sklearn"] is not None, "pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout == (
        "this NetClassifier is not fitted yet: call fit before predict\nFalse False\n"
    )


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "decision_function", "score"]
)
def test_unfitted_estimator_raises(method):
    arguments = ([[1.0]], [1]) if method == "score" else ([[1.0]],)
    with pytest.raises(NotFittedError) as caught:
        getattr(NetClassifier(), method)(*arguments)
    assert isinstance(caught.value, PlainnetError)
    called = "predict" if method == "score" else method
    assert str(caught.value) == f"this NetClassifier is not fitted yet: call fit before {called}"
    sent = pickle.loads(pickle.dumps(caught.value))  # as a worker sends it
    assert isinstance(sent, NotFittedError | PlainnetError)
    assert str(sent) == str(caught.value)


def test_repr_shows_changed_parameters():
    assert repr(NetClassifier()) == "NetClassifier()"
    shown = repr(NetClassifier((8, 4), dropout=0.2, class_weight="balanced"))
    assert shown == "NetClassifier(hidden=(8, 4), dropout=0.2, class_weight='balanced')"
    assert (
        eval(shown).get_params()
        == NetClassifier(hidden=(8, 4), dropout=0.2, class_weight="balanced").get_params()
    )


def test_unknown_parameter_changes_nothing():
    net = NetRegressor()
    with pytest.raises(PlainnetError) as caught:
        net.set_params(lr=0.5, learning_rate=0.1)
    assert str(caught.value).startswith(
        "NetRegressor has no parameter 'learning_rate': Valid parameters are: hidden, network, "
    )
    assert net.lr is None


def test_clone_is_unfitted_with_its_own_parameters():
    net = NetClassifier((4,), epochs=3, class_weight={0: 2.0}).fit([[0.0], [1.0]], [0, 1])
    other = clone(net)
    assert not [name for name in vars(other) if name.endswith("_")]
    assert other.get_params() == net.get_params()
    assert other.class_weight is not net.class_weight


def test_copy_shares_no_memory():
    X, y = np.eye(4), [0, 1, 0, 1]
    net = NetClassifier((4,), epochs=3).partial_fit(X, y, classes=[0, 1])
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert not np.shares_memory(twin.net_.params.theta, net.net_.params.theta)
        assert np.shares_memory(twin.net_.params.theta, twin.net_.layers[0].W)
        assert twin._train_step.net is twin.net_
        before = net.predict_proba(X)
        twin.partial_fit(X, y)
        np.testing.assert_array_equal(net.predict_proba(X), before)
        assert np.abs(twin.predict_proba(X) - before).max() > 0


def test_feature_names_after_fit():
    frame = pd.DataFrame({"age": [1.0, 2.0], "height": [0.0, 5.0]})
    net = NetRegressor((4,), epochs=2).fit(frame, [1.0, 2.0])
    assert net.feature_names_in_.tolist() == ["age", "height"]
    assert net.n_features_in_ == 2
    with pytest.warns(UserWarning, match="NetRegressor was fitted with feature names") as warned:
        net.predict(frame.to_numpy())
    assert warned[0].filename == __file__
    net.fit(frame.to_numpy(), [1.0, 2.0])
    assert "feature_names_in_" not in vars(net)
    with pytest.warns(UserWarning, match="NetRegressor was fitted without feature names") as warned:
        net.predict(frame)
    assert warned[0].filename == __file__


def test_column_vector_of_labels_warns():
    from sklearn.exceptions import DataConversionWarning

    X = [[0.0], [1.0]]
    with pytest.warns(DataConversionWarning, match="NetClassifier takes y.ravel") as warned:
        net = NetClassifier((4,), epochs=2).fit(X, [["a"], ["b"]])
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert net.predict(X).shape == (2,)
