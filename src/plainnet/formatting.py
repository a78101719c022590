"""Words: how reports write numbers, shares and the names of figures."""

NAMES = {
    "loss": "loss",
    "accuracy": "accuracy",
    "exact_match": "all labels right",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
}
_SHARES = ("accuracy", "exact_match", "precision", "recall")


def number(value: float | None) -> str:
    """Write a number short enough to compare at a glance.

    Parameters
    ----------
    value : float or None
        None is what is not defined.

    Examples
    --------
    >>> number(0.69314), number(0.00012), number(15612.34), number(1.2345e9), number(None)
    ('0.6931', '0.00012', '15,612', '1.23e+09', '-')
    """
    if value is None:
        return "-"
    if 1000 <= abs(value) < 1e7:
        return f"{value:,.0f}"
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.3g}"


def percent(share: float | None) -> str:
    """Write a share of one as a percentage.

    Examples
    --------
    >>> percent(0.918), percent(0.9996), percent(1), percent(1e-9)
    ('91.8 %', '99.96 %', '100.0 %', '< 0.001 %')
    """
    return "-" if share is None else f"{points(share)} %"


def points(share: float) -> str:
    """Write a share of one in hundredths: what is below all never as 100, what is there never as 0.

    Examples
    --------
    >>> points(0.918), points(0.99996), points(1 - 1e-9)
    ('91.8', '99.996', '> 99.999')
    """
    for digits in (1, 2, 3):
        text = f"{100 * share:.{digits}f}"
        if 0 < float(text) < 100 or not 0 < share < 1:
            return text
    return "< 0.001" if share < 0.5 else "> 99.999"


def score(name: str, value: float | None) -> str:
    """Write a figure of `plainnet.metrics.scores.evaluate`.

    Examples
    --------
    >>> score("recall", 0.5), score("f1", 0.5)
    ('50.0 %', '0.5000')
    """
    return percent(value) if name in _SHARES else number(value)


def count(n: int, noun: str) -> str:
    """Write a number of things.

    Parameters
    ----------
    n : int
        How many.
    noun : str
        One of them; more end in s.

    Examples
    --------
    >>> count(1, "row"), count(2320, "row")
    ('1 row', '2,320 rows')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
