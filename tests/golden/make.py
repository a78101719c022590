"""How the golden files of the present format are made: python tests/golden/make.py

They are made once for each format and never again: a file that exists is not written. The numbers
beside each model are computed by tests/format_one.py, which knows nothing of plainnet.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "format-1"


def shop(m: int = 48) -> pd.DataFrame:
    """A table with a column of each kind, some cells of which are missing."""
    rng = np.random.default_rng(1)
    age, city = rng.integers(18, 80, m), rng.choice(["Bø", "Oslo", "Rome, Italy"], m)
    member = rng.choice(["yes", "no"], m)
    bought = np.where((age > 45) ^ (member == "yes"), "tea", "coffee")
    frame = pd.DataFrame(
        {"id": range(m), "age": age, "city": city, "member": member, "till": "west", "b": bought}
    )
    frame = frame.astype(object)
    frame.insert(5, "gift", np.where(age > 60, "card", None))
    frame.loc[3, "age"] = frame.loc[5, "city"] = frame.loc[7, "member"] = None
    return frame


ROWS = [
    {"id": "1", "age": "30", "city": "Oslo", "member": "yes", "till": "west", "gift": None},
    {"id": "2", "age": "71.5", "city": "Bø", "member": "No", "till": "west", "gift": "card"},
    {"id": "3", "age": None, "city": "Rome, Italy", "member": "true", "till": "east", "gift": "?"},
    {"id": "4", "age": "1e2", "city": "Paris", "member": None, "till": "west", "gift": "book"},
    {"id": "5", "age": " 18 ", "city": "N/A", "member": "perhaps", "till": None, "gift": "card"},
]


def main() -> None:
    sys.path.insert(0, str(HERE.parent))
    import format_one
    from plainnet.config import TrainConfig
    from plainnet.data.synthetic import pandas_and_bears
    from plainnet.training import train

    FOLDER.mkdir(exist_ok=True)
    common = {"epochs": 60, "lr": 0.01}
    table = train(shop(), TrainConfig(hidden=(4, 3), batch_norm=True, target=("b",), **common))
    pictures = train(pandas_and_bears(24, size=8, seed=1), TrainConfig(hidden=(4,), **common))
    pixels = pandas_and_bears(4, size=8, seed=2)[0].tolist()
    for name, model, raw in (
        ("table", table.model, ROWS),
        ("picture", pictures.model, pixels),
    ):
        place = FOLDER / f"{name}.safetensors"
        if place.exists():
            raise SystemExit(f"{place} exists, and golden files stay as they are")
        model.save(place)
        arrays, header = format_one.read(place.read_bytes())
        inputs = format_one.table_inputs if name == "table" else format_one.picture_inputs
        X = inputs(header["schema"], raw)
        A = format_one.outputs(arrays, header, X)
        expected = {
            "raw": raw,
            "inputs": X.tolist() if name == "table" else X[:, :6].tolist(),
            "outputs": A.tolist(),
            "predictions": format_one.predictions(header, A),
            "digest": format_one.digest(arrays, header),
        }
        text = json.dumps(expected, ensure_ascii=False, separators=(",", ":"))
        (FOLDER / f"{name}.json").write_text(text.replace('},{"', '},\n{"') + "\n")


if __name__ == "__main__":
    main()
