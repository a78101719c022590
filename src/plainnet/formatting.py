"""Numbers, shares, counts and the names of metrics as text."""

NAMES = {
    "loss": "loss",
    "accuracy": "accuracy",
    "exact_match": "exact match",
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
    """Write a number with about four digits."""
    if value is None:
        return "-"
    if 1000 <= abs(value) < 1e7:
        return f"{value:,.0f}"
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.3g}"


def percent(share: float | None) -> str:
    """Write a share of one as a percentage."""
    return "-" if share is None else f"{points(share)} %"


def points(share: float) -> str:
    """Write a share in percent without the sign; only 0 and 1 become 0 and 100."""
    for digits in (1, 2, 3):
        text = f"{100 * share:.{digits}f}"
        if 0 < float(text) < 100 or not 0 < share < 1:
            return text
    return "< 0.001" if share < 0.5 else "> 99.999"


def score(name: str, value: float | None) -> str:
    """Write a metric: shares as percentages, others as numbers."""
    return percent(value) if name in _SHARES else number(value)


def count(n: int, noun: str) -> str:
    """Write a number of things, such as 1 row or 2 rows."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
