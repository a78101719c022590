"""Settings: the data, network and training that a session shows, and their limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, final

from plainnet.config import OPTIONS, ResolvedConfig, TrainConfig
from plainnet.errors import PlainnetError
from plainnet.option import checked, option
from plainnet.storage.json_reader import shortened

CLASSES = ("spiral", "moons", "circles", "flower", "blobs")
SURFACES = ("waves", "saddle")
SPIRAL_TURN = 8.0
NOISY = ("spiral", "moons", "circles", "blobs", *SURFACES)
SEVERAL = ("spiral", "blobs", "drawn")  # data sets with any number of classes
DATA = (*CLASSES, *SURFACES, "introverts", "drawn", "table")
MOST_POINTS, MOST_CLASSES, MOST_LAYERS, MOST_UNITS = 5000, 8, 8, 64
MOST_EPOCHS = 10**6

# Options of a training that a session offers. The network keeps its weights after a change
# of those in CONTINUES; any other change starts anew.
CONTINUES = ("optimizer", "lr", "momentum", "schedule", "epochs", "batch_size", "l2", "dropout")
OFFERED = ("hidden", "activation", "init", "seed", "validation_fraction", *CONTINUES)
START = TrainConfig(
    network="mlp",
    hidden=(8, 8),
    activation=("relu", "relu"),
    lr=0.02,
    epochs=200,
    batch_size=16,
    dropout=0.0,
    schedule="constant",
    validation_fraction=0.25,
    test_fraction=0.0,
).resolved(images=False)


@final
@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which data, and which options of the network and its training."""

    data: str = option("Data", "spiral", "", choices=DATA)
    points: int = option("Data", 300, "", low=10, high=MOST_POINTS + 1)
    noise: float = option("Data", 0.15, "", high=2)
    classes: int = option("Data", 2, "", low=2, high=MOST_CLASSES + 1)
    data_seed: int = option("Data", 0, "", high=2**32)
    drawn: tuple[tuple[float, float, int], ...] = ()  # x1, x2 and class of each point
    table: str = ""  # the fingerprint of an own table
    target: str = ""  # its column to predict; the last by default
    config: ResolvedConfig = field(default=START)

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.metadata:
                object.__setattr__(
                    self, each.name, checked("settings", each, getattr(self, each.name))
                )
        config = self.config
        hidden = config.hidden or ()
        if len(hidden) > MOST_LAYERS or any(not 0 < n <= MOST_UNITS for n in hidden):
            raise PlainnetError(
                f"a network here has at most {MOST_LAYERS} hidden layers of 1 to {MOST_UNITS} "
                f"units, got {shortened(list(hidden))}"
            )
        if config.epochs > MOST_EPOCHS:
            raise PlainnetError(f"epochs must be at most {MOST_EPOCHS:,}, got {config.epochs:,}")

    def changed(self, values: Mapping[str, object]) -> Self:
        """Return settings in which some options have other values, as JSON gives them."""
        own = {each.name for each in fields(self)} - {"config"}
        unknown = [name for name in values if name not in own and name not in OFFERED]
        if unknown:
            raise PlainnetError(
                f"there is no setting {shortened(unknown[0])}: take one of "
                f"{', '.join([*sorted(own), *OFFERED])}"
            )
        given: dict[str, Any] = {name: values[name] for name in values if name in own}
        if "drawn" in given:
            given["drawn"] = _points(given["drawn"])
        for name in ("table", "target"):
            if not isinstance(given.get(name, ""), str):
                raise PlainnetError(f"{name} must be text, got {shortened(given[name])}")
        options: dict[str, Any] = {name: values[name] for name in values if name in OFFERED}
        if options.get("optimizer", "sgd") != "sgd":
            options.setdefault("momentum", 0.0)  # which only sgd has
        for name in ("hidden", "activation"):
            if isinstance(options.get(name), list):
                options[name] = tuple(options[name])
        return replace(self, **given, config=replace(self.config, **options))

    def to_json(self) -> dict[str, Any]:
        """Return every setting by name, without the nesting."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        config = own.pop("config")
        return own | {name: getattr(config, name) for name in OFFERED}

    def continues(self, other: "Settings") -> bool:
        """Whether a network keeps its weights when these settings change to others."""
        same = {name: getattr(self.config, name) for name in CONTINUES}
        return replace(other, config=replace(other.config, **same)) == self

    def of_data(self) -> Self:
        """Return these settings with the defaults for all that the data do not depend on."""
        seed, fraction = self.config.seed, self.config.validation_fraction
        return replace(self, config=replace(START, seed=seed, validation_fraction=fraction))


def _points(value: object) -> tuple[tuple[float, float, int], ...]:
    """Check points drawn by hand."""
    if not isinstance(value, list | tuple) or len(value) > MOST_POINTS:
        raise PlainnetError(f"drawn points must be a list of at most {MOST_POINTS:,} points")
    for point in value:
        fits = (
            isinstance(point, list | tuple)
            and [type(n) in (int, float) for n in point] == [True] * 3
        )
        if not fits or max(map(abs, point)) > 1e6 or point[2] not in range(MOST_CLASSES):
            raise PlainnetError(
                f"a drawn point must be two numbers and a class from 0 to {MOST_CLASSES - 1}, "
                f"got {shortened(point)}"
            )
    return tuple((float(x1), float(x2), int(k)) for x1, x2, k in value)


def choices() -> dict[str, list[str]]:
    """Return the values of each setting that is chosen from a list."""
    from plainnet.nn.activations import ACTIVATIONS
    from plainnet.optim.optimizers import OPTIMIZERS

    return {
        "data": [name for name in DATA if name != "table"],
        "activation": [*ACTIVATIONS],
        "init": [
            "xavier_normal",
            "he_normal",
            "lecun_normal",
            "orthogonal",
            "normal:0.01",
            "zeros",
        ],
        "optimizer": [*OPTIMIZERS],
        "schedule": [*OPTIONS["schedule"].metadata["choices"]],
    }
