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
    """Propose values by TPE: `ask` for values, then `tell` their losses."""

    RANDOM = 10  # values that are drawn before TPE begins

    def __init__(self, space: Space, seed: int) -> None:
        self._optuna = optuna = require_optuna()
        self._distributions: dict[str, Any] = {
            name: optuna.distributions.FloatDistribution(values.low, values.high, log=True)
            if isinstance(values, LogUniform)
            else optuna.distributions.CategoricalDistribution(values.values)
            for name, values in space.items()
        }
        with self._quiet():
            sampler = optuna.samplers.TPESampler(n_startup_trials=self.RANDOM, seed=seed)
            self._study = optuna.create_study(sampler=sampler, direction="minimize")

    def ask(self, n: int = 1) -> list[dict[str, float]]:
        """Return n times values to try; the first RANDOM do not depend on any loss."""
        with self._quiet():
            self._asked = [self._study.ask(self._distributions) for _ in range(n)]
        return [dict(trial.params) for trial in self._asked]

    def tell(self, losses: list[float | None]) -> None:
        """Report the losses of the last values, None for a trial that failed."""
        failed = self._optuna.trial.TrialState.FAIL
        with self._quiet():
            for trial, loss in zip(self._asked, losses, strict=True):
                self._study.tell(trial, loss, failed if loss is None else None)

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
