"""Tables larger than memory, made small: a bound of a few hundred kilobytes streams them."""

import gzip
import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.streaming import require_exact_resume
from plainnet.config import TrainConfig
from plainnet.data import row_cache, table_stream
from plainnet.data.memory import is_streamed
from plainnet.errors import DataError, PlainnetError
from plainnet.loading import load, load_folds
from plainnet.nn.losses import BinaryCrossEntropy
from plainnet.nn.network import mlp
from plainnet.storage.checkpoints import Checkpoints
from plainnet.tabular import members_of, settled
from plainnet.train.fit import fit
from plainnet.train.inputs import FitInputs
from plainnet.training import resume, train

SMALL = TrainConfig(
    target=("y",), network="mlp", hidden=(8,), epochs=3, batch_size=32, memory="100KB", seed=1
)
TABULAR = replace(SMALL, network="tabular", members=3, patience=2)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a few hundred rows at a time."""
    monkeypatch.setattr(table_stream, "_TEXT", 2**13)
    monkeypatch.setattr(table_stream, "_CELLS", 2**11)


def table(m: int = 900, seed: int = 0) -> pd.DataFrame:
    """Return rows of every kind of column; the order of the rows says nothing."""
    rng = np.random.default_rng(seed)
    x, z = rng.standard_normal((2, m)).round(4)
    frame = pd.DataFrame(
        {
            "id": [f"row-{i}" for i in range(m)],
            "x": x,
            "z": z,
            "city": rng.choice(["Oslo", "Rome", "Bo", "Ås"], m, p=[0.5, 0.3, 0.15, 0.05]),
            "member": rng.choice(["yes", "no"], m),
            "comment": np.where(rng.random(m) < 0.1, "seen", None),
            "same": "one",
            "y": np.where(x + 0.5 * z + rng.standard_normal(m) > 0, "high", "low"),
        }
    )
    frame.loc[rng.choice(m, m // 10, replace=False), "z"] = np.nan
    frame.loc[rng.choice(m, m // 10, replace=False), "city"] = None
    return frame


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path, row_group_size=200)
    elif path.suffix != "":  # pandas compresses what is named so
        frame.to_csv(path, index=False)
    else:
        path.mkdir()
        third = len(frame) // 3
        write(frame[:third], path / "a.parquet")
        write(frame[third:], path / "b.parquet")
    return path


@pytest.fixture(params=["rows.csv", "rows.csv.gz", "rows.csv.bz2", "rows.parquet", "rows"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(table(), tmp_path / request.param)


def test_streamed_rows_are_those_in_memory(path: Path, tmp_path: Path) -> None:
    """Without rows held out, the schema and the encoded rows are the same."""
    streamed = load(path, replace(SMALL, test_fraction=0.0))
    whole = write(table(), tmp_path / ("whole.csv" if ".csv" in path.name else "whole.parquet"))
    known = load(whole, replace(SMALL, test_fraction=0.0, memory=None))
    assert known.stream is None
    assert streamed.stream is not None
    assert streamed.schema.feature_names == known.schema.feature_names
    assert streamed.target == known.target
    columns = (data.schema.to_json()["columns"] for data in (streamed, known))
    for ours, theirs in zip(*columns, strict=True):
        for name, value in theirs.items():
            exact = name not in ("mean", "scale")
            assert ours[name] == (value if exact else pytest.approx(value, rel=1e-9))
    X, y = streamed.stream.rows.all()
    np.testing.assert_allclose(X, known.train.X, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(y[:, 0], known.train.y)
    assert streamed.stream.class_counts == tuple(np.bincount(known.train.y.astype(int)))


def test_statistics_are_those_of_all_training_rows(tmp_path: Path) -> None:
    """The sample has 1,000 rows; extremes, means and counts are those of all 5,000."""
    frame = table(5000)
    frame.loc[3333, "x"] = 99.0
    frame.loc[[1, 4321], "city"] = "Rare"
    data = load(write(frame, tmp_path / "a.parquet"), replace(SMALL, test_fraction=0.0))
    columns = {c.name: c for c in data.schema.columns}
    x, z = columns["x"], columns["z"]
    assert (x.low, x.high, x.missing) == (frame.x.min(), 99.0, 0)
    assert x.mean == pytest.approx(frame.x.mean(), rel=1e-12)
    assert x.scale == pytest.approx(frame.x.std(ddof=0), rel=1e-12)
    assert z.missing == frame.z.isna().sum()
    filled = frame.z.fillna(z.median)
    assert (z.mean, z.scale) == pytest.approx((filled.mean(), filled.std(ddof=0)), rel=1e-9)
    assert abs((frame.z.dropna() < z.median).mean() - 0.5) < 0.05
    assert columns["city"].levels == ("Bo", "Oslo", "Rare", "Rome", "Ås")
    assert columns["member"].yes == (frame.member == "yes").sum()
    assert any("samples of 1,000 of the 5,000 training rows" in note for note in data.notes)


@pytest.mark.parametrize("order", ["shuffled", "sorted"])
def test_losses_are_those_in_memory(order: str, tmp_path: Path) -> None:
    frame = table(6000)
    if order == "sorted":
        frame = frame.sort_values(["y", "x"])
    path = write(frame, tmp_path / "a.csv")
    config = replace(SMALL, batch_size=64, epochs=4)
    streamed = train(path, config, evaluate=False).history.loss
    known = train(path, replace(config, memory=None), evaluate=False).history.loss
    np.testing.assert_allclose(streamed, known, rtol=0.04)
    assert abs(streamed[-1] / known[-1] - 1) < 0.02


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write(table(), tmp_path / "a.parquet")
    files = []
    for i in range(3):
        config = SMALL if i < 2 else replace(SMALL, cache_dir=str(tmp_path))
        run = train(path, config)
        assert run.data.stream is not None
        assert run.data.stream.reused == (i > 0)  # the cache of a file lies beside it
        run.model.save(tmp_path / f"{i}.safetensors")
        files.append((tmp_path / f"{i}.safetensors").read_bytes())
    assert files[0] == files[1] == files[2]
    other = train(path, replace(SMALL, seed=2), evaluate=False).model
    assert not np.array_equal(other.net.params.theta, run.model.net.params.theta)


@pytest.mark.parametrize("config", [SMALL, TABULAR], ids=["mlp", "tabular"])
def test_resumes_within_an_epoch(config: TrainConfig, tmp_path: Path) -> None:
    path = write(table(), tmp_path / "a.csv")
    require_exact_resume(path, config, tmp_path / "a.run")


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("config", [SMALL, TABULAR], ids=["mlp", "tabular"])
def test_compiled_steps_agree(config: TrainConfig, tmp_path: Path) -> None:
    path = write(table(), tmp_path / "a.csv")
    config = replace(config, class_weight="balanced", dropout=0.1)
    losses = [
        train(path, replace(config, engine=engine), evaluate=False).history.loss
        for engine in ("numpy", "compiled")
    ]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_members_of_a_tabular_network_leave_out_their_fold(tmp_path: Path) -> None:
    """Of every row in the file, as of the rows of the sample, with which they validate."""
    data = load(write(table(1500), tmp_path / "a.parquet"), TABULAR)
    assert data.stream is not None
    _, members = members_of(TABULAR.resolved(images=False), data)
    X, _ = data.stream.rows.all()
    assert len(X) > len(data.train.X) == 1000
    np.testing.assert_array_equal(X[data.stream.sample], data.train.X)
    fold = members.of_rows(np.arange(len(X))).fold
    np.testing.assert_array_equal(members.fold, fold[data.stream.sample])
    assert (np.sort(fold[: len(X) // 3 * 3].reshape(-1, 3)) == np.arange(3)).all()
    net, pair = mlp(data.schema.n_features, n_out=3), (data.train.X, data.train.y)
    inputs = FitInputs(net, BinaryCrossEntropy(), members=members)
    batches, _ = inputs.streamed(data.stream, 32, pair)
    trains = fold[:, None] != np.arange(3)
    weights = {row.tobytes(): weight for row, weight in zip(X, trains, strict=True)}
    assert len(weights) == len(X)  # no row twice
    for batch in batches.epoch(np.random.default_rng(0)):
        for row, weight in zip(batch.X, batch.weight, strict=True):
            np.testing.assert_array_equal(weight, weights[row.tobytes()])


def test_tabular_losses_are_those_in_memory(tmp_path: Path) -> None:
    path = write(table(6000).sort_values(["y", "x"]), tmp_path / "a.csv")
    config = replace(TABULAR, batch_size=64, epochs=4)
    rows, losses = table(4000, seed=1), []
    for each in (config, replace(config, memory=None)):
        P = train(path, each, evaluate=False).model.predict_proba(rows)
        losses.append(-np.log(P[np.arange(len(rows)), (rows.y == "low").astype(int)]).mean())
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_auto_states_its_choice(tmp_path: Path) -> None:
    config, notes = TrainConfig(target=("y",), memory="100KB"), []
    data = load(write(table(6000), tmp_path / "a.csv"), config)
    chosen = settled(config, data.train.X, data.target.task, notes, data.m)
    assert (chosen.network, chosen.epochs) == ("tabular", 2**19 // data.m)
    assert notes[0].startswith("no option of a single network was given: taking network tabular")
    assert notes[1] == (
        "the bins of the numbers, and the rows that the 8 networks validate with, are those of a "
        f"sample of 1,000 of the {data.m:,} training rows"
    )


def test_every_row_once_an_epoch(tmp_path: Path) -> None:
    data = load(write(table(), tmp_path / "a.csv"), SMALL)
    assert data.stream is not None
    net = mlp(data.schema.n_features)
    batches, _ = FitInputs(net, BinaryCrossEntropy()).streamed(data.stream, 32, None)
    rng = np.random.default_rng(0)
    X, y = data.stream.rows.all()
    first, second = (list(batches.epoch(rng)) for _ in range(2))
    for epoch in (first, second):
        rows = np.concatenate([np.column_stack([a, b]) for a, b, *_ in epoch])
        assert len(epoch) == len(batches)
        assert len(rows) == data.m
        known = np.column_stack([X, y])
        np.testing.assert_array_equal(rows[np.lexsort(rows.T)], known[np.lexsort(known.T)])
    assert not np.array_equal(first[0][0], second[0][0])
    rest = list(batches.epoch(np.random.default_rng(0), done=7))
    np.testing.assert_array_equal(rest[0][0], first[7][0])


def test_class_weights_are_those_in_memory(tmp_path: Path) -> None:
    """Balanced weights make the sum of weights of each class equal."""
    frame = table()
    frame = pd.concat([frame[frame.y == "low"], frame[frame.y == "high"][:100]])
    data = load(write(frame, tmp_path / "a.csv"), replace(SMALL, memory="10KB"))
    net = mlp(data.schema.n_features)
    inputs = FitInputs(net, BinaryCrossEntropy(), class_weight="balanced")
    batches, _ = inputs.streamed(data.stream, 32, None)
    rows = list(batches.epoch(np.random.default_rng(0)))
    y = np.concatenate([y[:, 0] for _, y, *_ in rows])
    weight = np.concatenate([w for _, _, w, *_ in rows])
    assert weight[y == 1].sum() == pytest.approx(weight[y == 0].sum())
    assert weight.sum() == pytest.approx(len(y))


# --- the cache -----------------------------------------------------------------------------------


def cached(tmp_path: Path) -> Path:
    path = write(table(), tmp_path / "a.csv")
    load(path, SMALL)
    return path


def test_a_changed_file_or_option_is_read_again(tmp_path: Path) -> None:
    path = cached(tmp_path)
    assert load(path, SMALL).stream.reused
    assert not load(path, replace(SMALL, test_fraction=0.3)).stream.reused
    write(table(901), path)
    data = load(path, replace(SMALL, test_fraction=0.3))
    assert not data.stream.reused


@pytest.mark.parametrize("name", ["train.rows", "test.rows", "rows.json"])
def test_a_cut_cache_is_written_again(name: str, tmp_path: Path) -> None:
    path = cached(tmp_path)
    file = tmp_path / "a.csv.rows" / name
    file.write_bytes(file.read_bytes()[:-5])
    data = load(path, SMALL)
    assert not data.stream.reused
    assert train(path, SMALL, evaluate=False).data.stream.reused


def test_an_altered_cache_is_refused(tmp_path: Path) -> None:
    path = cached(tmp_path)
    file = tmp_path / "a.csv.rows" / "train.rows"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match="the file was altered after it was written; remove its"):
        train(path, SMALL, evaluate=False)


def test_a_cache_that_is_cut_during_training(tmp_path: Path) -> None:
    path, checkpoints = cached(tmp_path), Checkpoints(tmp_path / "a.run", every=1)
    rows = tmp_path / "a.csv.rows" / "train.rows"

    def cut(epoch: object) -> None:
        with open(rows, "r+b") as file:
            file.truncate(100)

    with pytest.raises(DataError, match="the file was cut after it was written"):
        train(path, SMALL, checkpoints=checkpoints, callbacks=[cut], evaluate=False)
    assert len(resume(Checkpoints.load(tmp_path / "a.run"), evaluate=False).history) == 3


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(table(), tmp_path / "a.csv")
    usage = row_cache.shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(row_cache.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(DataError, match=r"No space left on device\): make space, or give"):
        load(path, SMALL)
    monkeypatch.undo()

    def write_no_more(writer: row_cache.RowWriter, *parts: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(row_cache.RowWriter, "_write", write_no_more)
    with pytest.raises(DataError, match="No space left on device"):
        load(path, SMALL)
    assert not list((tmp_path / "a.csv.rows").iterdir())


def test_a_folder_for_the_cache_is_made(tmp_path: Path) -> None:
    path = write(table(), tmp_path / "a.csv")
    load(path, replace(SMALL, cache_dir=str(tmp_path / "new")))
    assert (tmp_path / "new" / "a.csv.rows").is_dir()
    with pytest.raises(DataError, match=r"No such file or directory\): give another folder"):
        load(path, replace(SMALL, cache_dir=str(tmp_path / "un" / "known")))


@pytest.mark.parametrize("damage", ["cut", "altered", "bomb"])
def test_a_damaged_archive(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a later part of the file is damaged; nothing is left of the parts before it."""
    monkeypatch.setattr(table_stream, "_SAMPLE", 2**15)
    frame = table(9000 if damage == "altered" else 900)
    path = write(frame, tmp_path / "a.csv.gz")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-3000])
    elif damage == "altered":
        text = frame.to_csv(index=False).replace("row-7000,", "row,7000,").encode()
        path.write_bytes(gzip.compress(text)[:-8] + path.read_bytes()[-8:])  # another sum
    else:
        path.write_bytes(path.read_bytes() + gzip.compress(b"row,1,2,Bo,yes,,one,low\n" * 300_000))
    message = {"cut": "cannot be read: .*ended before", "bomb": "decompresses to more than 40"}
    message["altered"] = "cannot be read: CRC check failed"
    with pytest.raises(DataError, match=message[damage]):
        load(path, SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv.gz"]


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = write(table(), tmp_path / "a.csv")

    def grow(done: int, total: int) -> None:
        with open(path, "a") as file:
            file.write("row-x,1,2,Bo,yes,,one,low\n")

    with pytest.raises(DataError, match="changed while it was read: wait until it is complete"):
        load(path, SMALL, progress=grow)
    assert not (tmp_path / "a.csv.rows" / "rows.json").exists()


def test_one_process_writes(tmp_path: Path) -> None:
    path = write(table(), tmp_path / "a.csv")
    (tmp_path / "a.csv.rows").mkdir()
    hold = "import sys; from pathlib import Path; from plainnet.storage.locks import lock_folder\n"
    hold += "lock = lock_folder(Path(sys.argv[1])); print('locked', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "a.csv.rows")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(PlainnetError, match="another process is training in"):
            load(path, SMALL)
        process.communicate("\n")
    assert load(path, SMALL).stream is not None


# --- tables that cannot be streamed --------------------------------------------------------------


def test_files_with_other_columns(tmp_path: Path) -> None:
    path = write(table(), tmp_path / "rows")
    write(table(100).drop(columns="z").assign(w=1), path / "c.parquet")
    with pytest.raises(DataError, match=r"'c.parquet' has other .*: it lacks 'z' and adds 'w'"):
        load(path, SMALL)


def test_text_among_numbers_names_the_row(tmp_path: Path) -> None:
    frame = table(3000).astype({"x": object})
    frame.loc[2500, "x"] = "seven"
    path = write(frame, tmp_path / "a.csv")
    with pytest.raises(DataError, match="Data row 2501, column 'x': 'seven' is not a number"):
        load(path, SMALL)


def test_folds_of_a_sample_hold_no_row_that_is_held_out(tmp_path: Path) -> None:
    frame = table(4000)
    frame["x"] = np.arange(4000.0)  # tells which row it is
    path, config = write(frame, tmp_path / "a.csv"), replace(SMALL, standardize=False)
    folds, whole = load_folds(path, config, 3), load(path, config)
    assert folds.data.test is None
    assert 0 < folds.data.m < whole.m
    x = whole.schema.feature_names.index("x")
    assert whole.test is not None
    held_out = set(whole.test.X[:, x])
    assert len(held_out) > 700
    dealt = [fold.X[:, x] for i in range(3) for fold in (folds.fold(i).train, folds.fold(i).test)]
    assert not held_out & set(np.concatenate(dealt))
    assert set(folds.data.train.X[:, x]) < set(whole.stream.rows.all()[0][:, x])


def test_without_threads_the_bytes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(table(3000), tmp_path / "a.csv")
    config = replace(SMALL, memory="20KB", epochs=2)
    expected = train(path, config, evaluate=False).model.net.params.theta

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    got = train(path, config, evaluate=False)
    np.testing.assert_array_equal(got.model.net.params.theta, expected)
    assert got.data.stream is not None
    assert got.data.stream.window < got.data.m / 3


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.parquet", "rows"])
def test_grouped_copies_are_in_one_part(name: str, tmp_path: Path) -> None:
    frame = table(400)
    frame["id"] = range(400)
    copies = pd.concat([frame] * 5).sample(frac=1, random_state=0, ignore_index=True)
    path = write(copies, tmp_path / name)
    config = replace(SMALL, validation_fraction=0.2, test_fraction=0.2)

    def rows_in_two_parts(config: TrainConfig) -> int:
        data = load(path, config)
        assert data.stream is not None
        assert data.validation is not None
        assert data.test is not None
        parts = data.stream.rows.all()[0], data.validation.X, data.test.X
        sizes = np.array([len(part) for part in parts])
        assert (np.abs(sizes / 2000 - [0.6, 0.2, 0.2]) < 0.07).all()
        different = [{row.tobytes() for row in part} for part in parts]
        return sum(map(len, different)) - len(set().union(*different))

    assert rows_in_two_parts(config) > 200
    assert rows_in_two_parts(replace(config, group_duplicates=True)) == 0
    seeds = (load(path, replace(config, group_duplicates=True, seed=s)).test for s in (1, 2))
    first, second = (part.X.tobytes() for part in seeds if part)
    assert first != second


def test_what_needs_all_rows_is_refused(tmp_path: Path) -> None:
    path = write(table(), tmp_path / "a.csv")
    for change, message in (
        ({"batch_size": "full"}, "do not fit in memory together: give a batch size"),
    ):
        with pytest.raises(PlainnetError, match=message):
            train(path, replace(SMALL, **change), evaluate=False)


def test_size_of_memory() -> None:
    assert TrainConfig(memory="1.5 GB").memory_bytes == 1_500_000_000
    for text in ("much", "0MB", "2", "-1GB"):
        with pytest.raises(PlainnetError, match="memory must be a size such as 300MB or 2GB, got"):
            TrainConfig(memory=text)


def test_which_tables_are_streamed(tmp_path: Path) -> None:
    path = write(table(), tmp_path / "a.csv")
    assert not is_streamed(path, True, None)
    assert not is_streamed(path, True, 10**7)
    assert is_streamed(path, True, 10**5)
    packed = write(table(), tmp_path / "a.csv.gz")
    assert not is_streamed(packed, True, None)
    assert not is_streamed(packed, True, 10**7)
    assert is_streamed(packed, True, 10**5)
    folder = write(table(), tmp_path / "rows")
    assert is_streamed(folder, True, None)
    (folder / "pictures").mkdir()
    assert not is_streamed(folder, True, None)  # as a folder of pictures has folders


def test_lines_that_break_in_quotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a text end outside of quotes, wherever they are cut."""
    path = tmp_path / "a.csv"
    lines = [f'{i},"a ""b""\nc {i % 7}, d",{"low" if i % 3 else "high"}\n' for i in range(500)]
    path.write_text("x,text,y\n" + "".join(lines))
    monkeypatch.setattr(table_stream, "_TEXT", 101)
    tables = list(table_stream.TableStream(path))
    assert len(tables) > 50
    assert sum(map(len, tables)) == 500
    texts = [text for part in tables for text in part["text"].entries.to_pylist()]
    assert texts == [f'a "b"\nc {i % 7}, d' for i in range(500)]
    assert tables[-1]["x"].rows[-1] == 500


def test_the_cache_holds_no_names_of_folders(tmp_path: Path) -> None:
    cached(tmp_path)
    about = json.loads((tmp_path / "a.csv.rows" / "rows.json").read_text())
    assert str(tmp_path) not in json.dumps(about)


def test_fit_takes_a_stream(tmp_path: Path) -> None:
    data = load(write(table(), tmp_path / "a.csv"), SMALL)
    net = mlp(data.schema.n_features, seed=0)
    history = fit(
        net,
        data.stream,
        None,
        loss=BinaryCrossEntropy(),
        epochs=2,
        batch_size=32,
        validation_data=data.test,
    )
    assert len(history.val_loss) == 2


def test_classes_that_a_part_lacks_are_named(tmp_path: Path) -> None:
    frame = table()
    frame.loc[[3, 7], "y"] = "rare"
    data = load(write(frame, tmp_path / "a.csv"), replace(SMALL, validation_fraction=0.1))
    rows = {use: part.y for use, part in (("validate", data.validation), ("evaluate", data.test))}
    rare = data.target.classes.index("rare")
    for use, y in rows.items():
        named = f"no row to {use} with has the class 'rare': add rows of it, or split with another"
        assert any(named in note for note in data.notes) == (rare not in y)
    assert any("has the class 'rare'" in note for note in data.notes)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files_with_another_type(suffix: str, tmp_path: Path) -> None:
    """Numbers among texts are categories, texts that are numbers are numbers, others are named."""
    (tmp_path / "rows").mkdir()
    write(table(300), tmp_path / f"rows/a{suffix}")
    second = table(300, seed=1)
    second = second.assign(city=7, z=second.z.astype(str), x=(10 * second.x).astype(int))
    write(second, tmp_path / f"rows/b{suffix}")
    columns = {c.name: c for c in load(tmp_path / "rows", SMALL).schema.columns}
    assert columns["city"].levels == ("7", "Bo", "Oslo", "Rome", "Ås")
    assert (columns["x"].kind, columns["z"].kind) == ("number", "number")
    assert columns["x"].high > 15
    write(second.assign(x=second.x > 0), tmp_path / f"rows/c{suffix}")
    with pytest.raises(DataError, match=r"column 'x': '(True|False)' is not a number, but 9\d"):
        load(tmp_path / "rows", SMALL)
