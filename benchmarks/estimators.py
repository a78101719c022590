"""estimators: NetClassifier beside MLPClassifier, for docs/coming-from-mlpclassifier.md.

python -m benchmarks.estimators              measures all four data sets and writes the table
python -m benchmarks.estimators --quick      one fold in ten of two data sets, and writes nothing
"""

import re
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

from plainnet import NetClassifier

PAGE = Path(__file__).resolve().parents[1] / "docs" / "coming-from-mlpclassifier.md"
DATA = {
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
    "wine": load_wine,
    "iris": load_iris,
}
FOLDS, REPEATS = 10, 3
T_29 = 2.045  # the 97.5 % point of Student's t with 29 degrees of freedom
OURS = NetClassifier()
SAME = MLPClassifier(hidden_layer_sizes=(100,), batch_size=32, max_iter=100)
USUAL = MLPClassifier()


@dataclass(frozen=True)
class Row:
    """The accuracies of each fold on one data set."""

    name: str
    ours: NDArray[np.float64]
    same: NDArray[np.float64]
    usual: NDArray[np.float64]
    ours_raw: NDArray[np.float64]
    usual_raw: NDArray[np.float64]

    def cells(self) -> list[str]:
        every = (self.ours, self.same, self.usual, self.ours_raw, self.usual_raw)
        told = [f"{100 * a.mean():.1f} ± {100 * a.std():.1f}" for a in every]
        low, high = interval(self.ours - self.same)
        return [self.name, *told[:3], f"{low:+.1f} to {high:+.1f}".replace("-", "−"), *told[3:]]


def interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the mean difference in points, corrected for folds that share rows.

    Nadeau and Bengio (2003): the variance of the mean is (1/k + n_test/n_train) times that of the
    k differences.
    """
    k = len(differences)
    half = T_29 * differences.std(ddof=1) * np.sqrt(1 / k + 1 / (FOLDS - 1))
    return 100 * (differences.mean() - half), 100 * (differences.mean() + half)


def accuracies(model: object, X: NDArray, y: NDArray, scaled: bool, quick: bool) -> NDArray:
    splits = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0)
    found = []
    for seed, (train, test) in enumerate(splits.split(X, y)):
        if quick and seed % FOLDS:
            continue
        net = clone(model).set_params(random_state=seed)
        pipe = make_pipeline(StandardScaler(), net) if scaled else net
        found.append(pipe.fit(X[train], y[train]).score(X[test], y[test]))
    return np.array(found)


def measure(name: str, quick: bool = False) -> Row:
    X, y = DATA[name](return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it has had its epochs
        return Row(
            name,
            *(accuracies(model, X, y, True, quick) for model in (OURS, SAME, USUAL)),
            *(accuracies(model, X, y, False, quick) for model in (OURS, USUAL)),
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


def written(page: str, text: str) -> str:
    """The page with another table between its marks."""
    marks = r"(<!-- accuracies: [^\n]*-->\n).*?(\n<!-- end of accuracies -->)"
    page, found = re.subn(marks, lambda m: m[1] + text + m[2], page, flags=re.DOTALL)
    if found != 1:
        raise SystemExit(f"{PAGE} has lost its marks: <!-- accuracies: ... --> and its end")
    return page


def main(arguments: Sequence[str]) -> None:
    quick = "--quick" in arguments
    rows = []
    for name in ("wine", "iris") if quick else DATA:
        rows.append(measure(name, quick))
        print("  ".join(rows[-1].cells()), flush=True)
    if not quick:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), table(rows)), encoding="utf-8")
        print(f"wrote {PAGE}")


if __name__ == "__main__":
    main(sys.argv[1:])
