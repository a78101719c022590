"""estimators: NetClassifier compared with MLPClassifier, for docs/coming-from-mlpclassifier.md.

python -m benchmarks.estimators            measure four data sets and write the table
python -m benchmarks.estimators --quick    measure one fold in ten of two data sets, write nothing
"""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.report import replace_table
from plainnet import NetClassifier

PAGE = Path(__file__).resolve().parents[1] / "docs" / "coming-from-mlpclassifier.md"
DATA = {
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
    "wine": load_wine,
    "iris": load_iris,
}
FOLDS, REPEATS = 10, 3
T_29 = 2.045  # 97.5 % quantile of Student's t with 29 degrees of freedom
PLAINNET = NetClassifier()
MLP_SAME_CONFIG = MLPClassifier(hidden_layer_sizes=(100,), batch_size=32, max_iter=100)
MLP_DEFAULTS = MLPClassifier()


@dataclass(frozen=True)
class Row:
    """Accuracies on each fold of one data set."""

    name: str
    plainnet: NDArray[np.float64]
    mlp_same_config: NDArray[np.float64]
    mlp_defaults: NDArray[np.float64]
    plainnet_unscaled: NDArray[np.float64]
    mlp_unscaled: NDArray[np.float64]

    def cells(self) -> list[str]:
        columns = (
            self.plainnet,
            self.mlp_same_config,
            self.mlp_defaults,
            self.plainnet_unscaled,
            self.mlp_unscaled,
        )
        means = [f"{100 * a.mean():.1f} ± {100 * a.std():.1f}" for a in columns]
        low, high = interval(self.plainnet - self.mlp_same_config)
        return [self.name, *means[:3], f"{low:+.1f} to {high:+.1f}".replace("-", "−"), *means[3:]]


def interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference in points, for folds that share rows.

    Nadeau and Bengio (2003): the variance of the mean is (1/k + n_test/n_train) times that of the
    k differences.
    """
    k = len(differences)
    half = T_29 * differences.std(ddof=1) * np.sqrt(1 / k + 1 / (FOLDS - 1))
    return 100 * (differences.mean() - half), 100 * (differences.mean() + half)


def accuracies(model: object, X: NDArray, y: NDArray, scaled: bool, quick: bool) -> NDArray:
    splits = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0)
    scores = []
    for seed, (train, test) in enumerate(splits.split(X, y)):
        if quick and seed % FOLDS:
            continue
        net = clone(model).set_params(random_state=seed)
        pipe = make_pipeline(StandardScaler(), net) if scaled else net
        scores.append(pipe.fit(X[train], y[train]).score(X[test], y[test]))
    return np.array(scores)


def measure(name: str, quick: bool = False) -> Row:
    X, y = DATA[name](return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
        return Row(
            name,
            *(
                accuracies(model, X, y, True, quick)
                for model in (PLAINNET, MLP_SAME_CONFIG, MLP_DEFAULTS)
            ),
            *(accuracies(model, X, y, False, quick) for model in (PLAINNET, MLP_DEFAULTS)),
        )


def table(rows: Sequence[Row]) -> str:
    head = [
        "data",
        "NetClassifier",
        "MLPClassifier, same sizes and epochs",
        "MLPClassifier, its defaults",
        "difference to the same, 95 %",
        "unscaled: NetClassifier",
        "unscaled: MLPClassifier, its defaults",
    ]
    lines = [head, ["---"] + ["--:"] * 6, *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main(arguments: Sequence[str]) -> None:
    quick = "--quick" in arguments
    rows = []
    for name in ("wine", "iris") if quick else DATA:
        rows.append(measure(name, quick))
        print("  ".join(rows[-1].cells()), flush=True)
    if not quick:
        page = replace_table(PAGE.read_text(encoding="utf-8"), "accuracies", table(rows))
        PAGE.write_text(page, encoding="utf-8")
        print(f"wrote {PAGE}")


if __name__ == "__main__":
    main(sys.argv[1:])
