"""Compare the default for tables with other methods, by cross-validation; write docs/tables.md.

    python -m benchmarks.tables FOLDER [--methods plainnet LightGBM] [--results FILE] [--render]

FOLDER holds the CSV files of `TABLES`; the others come with scikit-learn. Results are kept in a
file of JSON lines, so that a run that was interrupted continues.
"""

import argparse
import json
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.growth_sklearn import encoded
from plainnet.config import TrainConfig
from plainnet.training import train

PAGE = Path(__file__).parents[1] / "docs" / "tables.md"
BEGIN, END = "<!-- begin results -->\n", "<!-- end results -->\n"
TABLES = {  # file: target
    "glass": "type",
    "mpg": "mpg",
    "titanic": "survived",
    "oil-spill": "spill",
    "german": "risk",
    "wine-red": "quality",
    "abalone": "rings",
    "phoneme": "nasal",
    "adult": "income",
}
BUNDLED = {"breast": "breast_cancer", "wine": "wine", "iris": "iris", "digits": "digits"}
BUNDLED |= {"diabetes": "diabetes"}
REGRESSION = {"mpg", "wine-red", "abalone", "diabetes"}
TUNED = ("glass", "mpg", "german", "wine-red", "phoneme", "iris", "diabetes")
LARGE, ECE_BINS = 2000, 15


class Fold(NamedTuple):
    """The rows of one fold, with targets as text, or as numbers."""

    X: pd.DataFrame
    y: Any
    X_test: pd.DataFrame
    y_test: Any
    regression: bool


# --- methods: from a fold to numbers, or to classes and their probabilities ----------------------

Answer = Any
Method = Callable[[Fold], Answer]


def plainnet(**options: Any) -> Method:
    def run(fold: Fold) -> Answer:
        task = "regression" if fold.regression else None
        config = TrainConfig(target="target", task=task, test_fraction=0.0, **options)
        model = train(fold.X.assign(target=fold.y), config).model
        if fold.regression:
            return model.predict(fold.X_test)[:, 0]
        return model.target.classes, model.predict_proba(fold.X_test)

    return run


def of_sklearn(classifier: Any, regressor: Any, prepare: Callable[[Fold], Fold]) -> Method:
    def run(fold: Fold) -> Answer:
        fold = prepare(fold)
        model = (regressor if fold.regression else classifier)()
        model.fit(fold.X, fold.y)
        if fold.regression:
            return np.asarray(model.predict(fold.X_test)).ravel()
        return model.classes_, model.predict_proba(fold.X_test)

    return run


def categories(fold: Fold) -> Fold:
    """Make text columns categorical, as boosted trees take them."""
    X, X_test = fold.X.copy(), fold.X_test.copy()
    for name in X.select_dtypes(exclude="number"):
        levels = sorted(set(X[name].dropna().astype(str)))
        for part in (X, X_test):
            text = part[name].astype(str).where(part[name].notna())
            part[name] = pd.Categorical(text, categories=levels)
    return fold._replace(X=X, X_test=X_test)


def filled(fold: Fold) -> Fold:
    """Fill missing numbers with the median, and make text columns categorical."""
    fold = categories(fold)
    numbers = list(fold.X.select_dtypes("number"))
    median = fold.X[numbers].median()
    X, X_test = (p.assign(**p[numbers].fillna(median)) for p in (fold.X, fold.X_test))
    for name in set(X) - set(numbers):
        for part in (X, X_test):
            part[name] = part[name].astype(object).where(part[name].notna(), "?")
            part[name] = part[name].astype("category")
    return fold._replace(X=X, X_test=X_test)


def boosting(kind: Any) -> Callable[[], Any]:
    return lambda: kind(random_state=0, categorical_features="from_dtype")


def lightgbm(fold: Fold) -> Answer:
    from lightgbm import LGBMClassifier, LGBMRegressor

    fold = fold._replace(
        **{
            part: getattr(fold, part).rename(columns=lambda c: "".join(filter(str.isalnum, str(c))))
            for part in ("X", "X_test")
        }
    )
    one, other = (
        lambda k=k: k(random_state=0, verbose=-1) for k in (LGBMClassifier, LGBMRegressor)
    )
    return of_sklearn(one, other, categories)(fold)


def realmlp(fold: Fold) -> Answer:
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    kinds = (RealMLP_TD_Classifier, RealMLP_TD_Regressor)
    one, other = (lambda k=k: k(device="cpu", random_state=0, verbosity=0) for k in kinds)
    return of_sklearn(one, other, filled)(fold)


def unchanged(fold: Fold) -> Fold:
    return fold


METHODS: dict[str, Method] = {
    "plainnet": plainnet(),
    "plainnet, one network": plainnet(network="mlp"),
    "scikit-learn MLP": of_sklearn(encoded(MLPClassifier), encoded(MLPRegressor), unchanged),
    "random forest": of_sklearn(
        encoded(RandomForestClassifier), encoded(RandomForestRegressor), unchanged
    ),
    "HistGradientBoosting": of_sklearn(
        boosting(HistGradientBoostingClassifier),
        boosting(HistGradientBoostingRegressor),
        categories,
    ),
    "LightGBM": lightgbm,
    "RealMLP": realmlp,
}


# --- data and scores -----------------------------------------------------------------------------


def load(name: str, folder: Path) -> tuple[pd.DataFrame, Any]:
    """Return the columns and the target of a table."""
    if name in TABLES:
        frame = pd.read_csv(folder / f"{name}.csv")
        y = frame.pop(TABLES[name])
    else:
        options = {"scaled": False} if name == "diabetes" else {}
        read = getattr(datasets, f"load_{BUNDLED[name]}")
        frame, y = read(return_X_y=True, as_frame=True, **options)
    frame.columns = [str(column) for column in frame]
    return frame, y.to_numpy(float) if name in REGRESSION else y.astype(str).to_numpy(object)


def folds(name: str, folder: Path) -> Iterator[Fold]:
    """Yield five folds of a table, three of a large one; stratified by class."""
    frame, y = load(name, folder)
    regression = name in REGRESSION
    kind = KFold if regression else StratifiedKFold
    splits = kind(3 if len(y) >= LARGE else 5, shuffle=True, random_state=0)
    for kept, out in splits.split(frame, y):
        X, X_test = (frame.iloc[rows].reset_index(drop=True) for rows in (kept, out))
        yield Fold(X, y[kept], X_test, y[out], regression)


def scores(fold: Fold, answer: Answer) -> tuple[float, float, float]:
    """Return R2, RMSE and 0; or accuracy, log loss and expected calibration error."""
    y = fold.y_test
    if fold.regression:
        error = np.mean((answer - y) ** 2)
        return float(1 - error / np.var(y)), float(np.sqrt(error)), 0.0
    classes, P = answer
    index = {name: i for i, name in enumerate(classes)}
    true = np.array([index.get(name, -1) for name in y])
    p = np.where(true >= 0, P[np.arange(len(y)), true], 0)
    right, sure = P.argmax(axis=1) == true, P.max(axis=1)
    bins = np.minimum((sure * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = np.bincount(bins, sure - right, ECE_BINS)
    loss = -np.log(np.clip(p, 1e-7, 1)).mean()
    return float(right.mean()), float(loss), float(np.abs(gaps).sum() / len(y))


def run(folder: Path, methods: list[str], tables: list[str], file: Path) -> None:
    """Compute the results that the file lacks."""
    done = {(r["method"], r["table"], r["fold"]) for r in stored(file)}
    for method in methods:
        for table in tables:
            for i, fold in enumerate(folds(table, folder)):
                if (method, table, i) in done:
                    continue
                start = time.perf_counter()
                score, loss, ece = scores(fold, METHODS[method](fold))
                seconds = time.perf_counter() - start
                row = {"method": method, "table": table, "fold": i, "score": score, "loss": loss}
                line = json.dumps(row | {"ece": ece, "seconds": seconds})
                print(line, flush=True)
                with file.open("a") as out:
                    out.write(line + "\n")


def stored(file: Path) -> list[dict[str, Any]]:
    """Return the results so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


# --- the page ------------------------------------------------------------------------------------


def render(file: Path) -> str:
    """Write the results as tables: a summary, and each table's score, loss and seconds."""
    cells: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for r in stored(file):
        cells[r["method"]][r["table"]].append([r["score"], r["loss"], r["ece"], r["seconds"]])
    means = {m: {t: np.mean(v, axis=0) for t, v in ts.items()} for m, ts in cells.items()}
    order = [m for m in METHODS if m in means]
    tables = [t for t in (*TABLES, *BUNDLED) if all(t in means[m] for m in order)]
    lines = []
    parts = {"all tables": tables, "tables used for tuning": [t for t in tables if t in TUNED]}
    parts |= {"tables only reported": [t for t in tables if t not in TUNED]}
    for title, names in parts.items():
        if names:
            lines += _summary(title, names, order, means)
    head = ["table", *order]
    lines += ["Score / loss (seconds of all folds):", "", *_row(head), *_row(["---"] * len(head))]
    for t in tables:
        texts = []
        for m in order:
            score, loss, _, seconds = means[m][t]
            texts.append(f"{score:.3f} / {loss:.3f} ({seconds * len(cells[m][t]):.0f})")
        lines += _row([t, *texts])
    return "\n".join(lines) + "\n"


def _summary(title: str, tables: list[str], order: list[str], means: Any) -> list[str]:
    best = {t: max(means[m][t][0] for m in order) for t in tables}
    lowest = {t: min(means[m][t][1] for m in order) for t in tables}
    classes = [t for t in tables if t not in REGRESSION]
    head = [f"{title} ({len(tables)})", "distance", "loss ratio", "ECE", "seconds"]
    lines = [*_row(head), *_row(["---"] * len(head))]
    for m in order:
        distance = 100 * np.mean([best[t] - means[m][t][0] for t in tables])
        ratio = np.mean([means[m][t][1] / lowest[t] for t in tables])
        ece = np.mean([means[m][t][2] for t in classes]) if classes else 0.0
        seconds = sum(means[m][t][3] for t in tables)
        lines += _row([m, f"{distance:.2f}", f"{ratio:.3f}", f"{ece:.3f}", f"{seconds:.0f}"])
    return [*lines, ""]


def _row(cells: list[str]) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--tables", nargs="+", default=[*TABLES, *BUNDLED])
    parser.add_argument("--results", type=Path, default=Path("table-results.jsonl"))
    parser.add_argument("--render", action="store_true", help="write the page, compute nothing")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    if not arguments.render:
        run(arguments.folder, arguments.methods, arguments.tables, arguments.results)
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    page = before + BEGIN + "\n" + render(arguments.results) + "\n" + END + rest.split(END)[1]
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
