"""Follow the doctor's advice from 20 bad starts on tables and folders of pictures.

python -m benchmarks.doctor advice RESULTS NETWORK PATH...

Each start is a line of the file RESULTS; those that it holds already are not run again.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from plainnet.config import TrainConfig

MOST_ROWS = {"mlp": 2000, "tabular": 500}  # of a table; of a larger one a sample
TARGETS = {"mpg": "mpg", "titanic": "survived"}  # of the others the last column
TABLES: dict[str, dict[str, Any]] = {"mlp": {"epochs": 20}, "tabular": {"epochs": 40, "members": 4}}
PICTURES: dict[str, Any] = {"size": 16, "epochs": 8}


def study(results: Path, network: str, paths: list[Path]) -> Iterator[str]:
    """Follow the advice from each start, and yield a summary of each table or folder."""
    for path in paths:
        data, usual, starts = _case(network, path)
        for name, start in starts.items():
            key = {"data": path.stem, "network": network, "start": name}
            if not _found(results, key):
                line = json.dumps(key | _followed(data, TrainConfig(**usual | start)))
                with results.open("a") as file:
                    file.write(line + "\n")
        yield from _summary(_found(results, {"data": path.stem, "network": network}))


def _case(network: str, path: Path) -> tuple[Any, dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the data, the options of each start, and the starts by name."""
    from diagnose.following import BAD_STARTS, PICTURE_STARTS

    if path.is_dir():
        starts = PICTURE_STARTS if network == "convnet" else BAD_STARTS
        return path, {"network": network} | PICTURES, starts
    frame = pd.read_csv(path)
    target = TARGETS.get(path.stem, frame.columns[-1])
    sample = frame.sample(min(len(frame), MOST_ROWS[network]), random_state=0)
    return sample, {"network": network, "target": target} | TABLES[network], BAD_STARTS


def _followed(data: Any, config: TrainConfig) -> dict[str, Any]:
    from diagnose.following import follow

    return follow(data, config)._asdict()


def _found(results: Path, key: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the results with this key."""
    lines = results.read_text().splitlines() if results.exists() else []
    return [one for one in map(json.loads, lines) if key.items() <= one.items()]


def _summary(found: list[dict[str, Any]]) -> Iterator[str]:
    ended, worse = (sum(one[name] for one in found) for name in ("ended", "worse"))
    title = f"{found[0]['data']}, {found[0]['network']}"
    yield f"{title}: {ended} of {len(found)} end within three steps, {worse} got worse"
    for one in found:
        if one["worse"] or not one["ended"]:
            kind = "worse" if one["worse"] else "no end"
            costs = ", ".join(f"{cost:.4g}" for cost in one["costs"])
            yield f"  {one['start']}: {kind}; {one['steps']}; costs {costs}"
