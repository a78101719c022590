"""Show the content of a model file: network, inputs, target, training and results.

plainnet summary survey.safetensors
"""

from pathlib import Path

from rich.console import Console

from plainnet.cli.commands.evaluate import show_evaluation
from plainnet.cli.console import (
    output,
    print_line,
    print_notes,
    show_network,
    show_schema,
    training_text,
)
from plainnet.cli.progress import sparkline
from plainnet.config import TrainConfig
from plainnet.evaluate.evaluation import stored_evaluation
from plainnet.evaluate.training_record import FOREIGN, recorded_history
from plainnet.formatting import number
from plainnet.model import Model


def summary(model: Path, /) -> None:
    """Show the content of a model file.

    Parameters
    ----------
    model
        A model file.
    """
    trained = Model.load(model)
    console = output()
    print_line(console, str(model), "bold")
    show_schema(console, trained.schema, trained.target)
    show_network(console, trained.net)
    console.print()
    print_line(console, f"Loss: {type(trained.loss).__name__}")
    try:
        _show_record(console, trained)
    except FOREIGN:
        print_line(console, "Its record of the training was not written by plainnet train.")


def _show_record(console: Console, trained: Model) -> None:
    """Show the record of the training; fails if plainnet did not write it."""
    record, history = trained.record, recorded_history(trained.record)
    losses = [] if history is None else history.loss
    m, pictures = record["rows"]["train"], trained.transform is not None
    config = TrainConfig(**record["config"])
    print_line(console, f"Training: {training_text(config, m, pictures)}")
    cost = f"Cost: {number(losses[0])} to {number(losses[-1])} in {len(losses):,} epochs"
    print_line(console, f"{cost}  {sparkline(losses, 20)}")
    print_notes([str(note) for note in record["notes"]], console)
    evaluation = stored_evaluation(trained)
    if evaluation is not None:
        show_evaluation(console, trained.target, evaluation, "held-out ")
