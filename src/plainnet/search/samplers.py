"""Samplers: optuna's tree-structured Parzen estimator (TPE)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

from plainnet.errors import PlainnetError
from plainnet.search.space import LogUniform, Space


def require_optuna() -> Any:
    """Import optuna, or raise an error that explains how to install it."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise PlainnetError(
            "optuna is not installed, which --method optuna needs: pip install 'plainnet[search]'"
        ) from error
    return optuna


@final
class TpeSampler:
    """Propose values by TPE: `ask` for values, then `tell` their loss."""

    def __init__(self, space: Space, seed: int) -> None:
        self._optuna = optuna = require_optuna()
        self._distributions: dict[str, Any] = {
            name: optuna.distributions.FloatDistribution(values.low, values.high, log=True)
            if isinstance(values, LogUniform)
            else optuna.distributions.CategoricalDistribution(values.values)
            for name, values in space.items()
        }
        with self._quiet():
            sampler = optuna.samplers.TPESampler(seed=seed)
            self._study = optuna.create_study(sampler=sampler, direction="minimize")

    def ask(self) -> dict[str, float]:
        """Return values to try."""
        with self._quiet():
            self._trial = self._study.ask(self._distributions)
        return dict(self._trial.params)

    def tell(self, loss: float | None) -> None:
        """Report the loss of the last values, or None if their trial failed."""
        with self._quiet():
            failed = self._optuna.trial.TrialState.FAIL
            self._study.tell(self._trial, loss, failed if loss is None else None)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Silence optuna's log, which repeats the table of trials."""
        logging = self._optuna.logging
        before = logging.get_verbosity()
        logging.set_verbosity(logging.ERROR)
        try:
            yield
        finally:
            logging.set_verbosity(before)
