"""Picture folders larger than memory, made small: a bound of some kilobytes streams them."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.streaming import require_exact_resume
from plainnet.config import TrainConfig
from plainnet.data import images, row_cache
from plainnet.errors import DataError, PlainnetError
from plainnet.loading import load, load_folds
from plainnet.storage.checkpoints import Checkpoints
from plainnet.training import resume, train

SMALL = TrainConfig(size=12, channels=(4,), epochs=3, batch_size=16, memory="100KB", seed=1)
NAMES = ("bear", "panda")
FLAT = replace(SMALL, network="mlp", channels=TrainConfig().channels, hidden=(8,))


def write(folder: Path, m: int = 240, gray: bool = False, contrast: int = 40) -> Path:
    """Write noise that is brighter below in bears and above in pandas, and files to leave out."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 200, (m, 16, 16, 3), np.uint8)
    names = [NAMES[int(i % 3 > 0)] for i in range(m)]  # a third are bears
    for name in NAMES:
        (folder / name).mkdir(parents=True)
    for i, (pixels, name) in enumerate(zip(X, names, strict=True)):
        pixels[8:] += np.uint8(contrast * (name == "bear"))
        pixels[:8] += np.uint8(contrast * (name == "panda"))
        pixels[:, -2:] = 7
        Image.fromarray(pixels).convert("L" if gray else "RGB").save(folder / name / f"{i:03}.bmp")
    (folder / "bear" / "damaged.bmp").write_bytes(b"BM")
    (folder / "readme.txt").write_text("about")
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "drawings")


def in_memory(config: TrainConfig) -> TrainConfig:
    return replace(config, memory=None)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("standardize", [True, False])
def test_streamed_pictures_are_those_in_memory(
    gray: bool, standardize: bool, tmp_path: Path
) -> None:
    """Split, schema, classes, notes and pixels are the same."""
    path = write(tmp_path / "drawings", gray=gray)
    config = replace(SMALL, validation_fraction=0.2, standardize=standardize)
    streamed, known = load(path, config), load(path, in_memory(config))
    assert known.stream is None
    assert streamed.stream is not None
    assert streamed.schema == known.schema
    assert streamed.schema.channels == (1 if gray else 3)
    assert streamed.target == known.target
    np.testing.assert_array_equal(streamed.constant, known.constant)
    assert streamed.notes[: len(known.notes)] == known.notes
    assert streamed.stream.class_counts == tuple(np.bincount(known.train.y.astype(int)))
    X, y = streamed.stream.rows.all()
    for (ours, labels), theirs in (
        ((X, y[:, 0]), known.train),
        (streamed.validation, known.validation),
        (streamed.test, known.test),
    ):
        ours, known_rows = ours.reshape(len(ours), -1), theirs.X.reshape(len(theirs.X), -1)
        orders = np.lexsort(ours.T), np.lexsort(known_rows.T)
        np.testing.assert_array_equal(ours[orders[0]], known_rows[orders[1]])
        np.testing.assert_array_equal(labels[orders[0]], theirs.y[orders[1]])
    np.testing.assert_array_equal(np.sort(streamed.test_rows), known.test_rows)
    order = np.argsort(streamed.test_rows)
    np.testing.assert_array_equal(streamed.test.X[order], known.test.X)


def test_parts_in_memory_are_samples(tmp_path: Path) -> None:
    path = write(tmp_path / "drawings", 900)
    data = load(path, replace(SMALL, test_fraction=0.4, memory="100KB"))
    assert len(data.train.X) == len(data.test.X) == 100
    assert "of 360 pictures held out to evaluate with, 100 are used" in data.notes
    assert any("a sample of 100 of the 540 training pictures" in note for note in data.notes)
    shares = [float(y.mean()) for y in (data.train.y, data.test.y)]
    assert shares == pytest.approx([2 / 3, 2 / 3], abs=0.02)


@pytest.mark.parametrize("config", [SMALL, replace(FLAT, class_weight="balanced")])
def test_losses_are_those_in_memory(config: TrainConfig, tmp_path: Path) -> None:
    """The mean of three seeds."""
    path = write(tmp_path / "drawings", 900, contrast=4 if config.network == "mlp" else 40)
    config = replace(config, lr=0.0005, augment=(), dropout=0.0)
    streamed, known = (mean_losses(path, c) for c in (config, in_memory(config)))
    assert streamed[-1] < 0.9 * streamed[0]
    np.testing.assert_allclose(streamed, known, rtol=0.02)


def mean_losses(path: Path, config: TrainConfig) -> np.ndarray:
    data, configs = load(path, config), [replace(config, seed=seed) for seed in range(3)]
    return np.mean([train(data, c, evaluate=False).history.loss for c in configs], axis=0)


def test_real_pictures(shared_data: Path, tmp_path: Path) -> None:
    """Photographs of hand signs, three of ten classes."""
    for name in ("0", "1", "2"):
        (tmp_path / "signs" / name).mkdir(parents=True)
        for file in (shared_data / "signs" / name).iterdir():
            (tmp_path / "signs" / name / file.name).symlink_to(file)
    config = replace(SMALL, size=16, channels=(8,), batch_size=32, augment=(), memory="200KB")
    assert load(tmp_path / "signs", config).target.task == "multiclass"
    losses = [mean_losses(tmp_path / "signs", c) for c in (config, in_memory(config))]
    np.testing.assert_allclose(*losses, rtol=0.02)


def test_the_same_seed_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    files = []
    for i in range(3):
        run = train(path, SMALL if i < 2 else replace(SMALL, cache_dir=str(tmp_path)))
        assert run.data.stream.reused == (i > 0)
        run.model.save(tmp_path / f"{i}.safetensors")
        files.append((tmp_path / f"{i}.safetensors").read_bytes())
    assert files[0] == files[1] == files[2]


def test_another_split_uses_the_same_cache(path: Path) -> None:
    assert not load(path, SMALL).stream.reused
    for change in ({"seed": 2}, {"test_fraction": 0.5}, {"memory": "90KB"}):
        assert load(path, replace(SMALL, **change)).stream.reused
    assert not load(path, replace(SMALL, size=10)).stream.reused


@pytest.mark.parametrize("config", [SMALL, replace(FLAT, augment=("flip", "shift"))])
def test_resumes_within_an_epoch(config: TrainConfig, path: Path, tmp_path: Path) -> None:
    require_exact_resume(path, config, tmp_path / "a.run")


def test_compiled_steps_agree(path: Path, compiled: None) -> None:
    losses = [
        train(path, replace(SMALL, engine=engine), evaluate=False).history.loss
        for engine in ("numpy", "compiled")
    ]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_augmentation_changes_training(path: Path) -> None:
    losses = [
        train(path, replace(FLAT, augment=augment), evaluate=False).history.loss
        for augment in ((), ("shift",))
    ]
    assert losses[0] != losses[1]


def test_folds_are_those_in_memory(path: Path) -> None:
    streamed, known = (load_folds(path, c, 3) for c in (SMALL, in_memory(SMALL)))
    for i in range(3):
        ours, theirs = streamed.fold(i), known.fold(i)
        assert ours.schema == theirs.schema
        assert ours.m == theirs.m
        np.testing.assert_array_equal(np.sort(ours.test_rows), theirs.test_rows)


# --- the cache -----------------------------------------------------------------------------------


def touch(path: Path) -> None:
    file = next((path / "panda").iterdir())
    os.utime(file, (1, 1))


def rename(path: Path) -> None:
    file = next((path / "panda").iterdir())
    file.rename(file.with_name("other.bmp"))


def remove(path: Path) -> None:
    next((path / "panda").glob("0*.bmp")).unlink()


def cut(path: Path) -> None:
    file = path.with_name("drawings.rows") / "pictures.rows"
    file.write_bytes(file.read_bytes()[:-5])


@pytest.mark.parametrize("change", [touch, rename, remove, cut])
def test_what_changed_is_decoded_again(change, path: Path) -> None:
    load(path, SMALL)
    assert load(path, SMALL).stream.reused
    change(path)
    assert not load(path, SMALL).stream.reused
    assert load(path, SMALL).stream.reused


def test_an_altered_cache_is_refused(path: Path) -> None:
    load(path, SMALL)
    file = path.with_name("drawings.rows") / "pictures.rows"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match="the file was altered after it was written; remove its"):
        load(path, SMALL)


def test_a_cache_that_is_cut_during_training(path: Path, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "a.run", every=1)

    def cut_short(epoch: object) -> None:
        with open(path.with_name("drawings.rows") / "pictures.rows", "r+b") as file:
            file.truncate(100)

    with pytest.raises(DataError, match="the file was cut after it was written"):
        train(path, SMALL, checkpoints=checkpoints, callbacks=[cut_short], evaluate=False)
    assert len(resume(Checkpoints.load(tmp_path / "a.run"), evaluate=False).history) == 3


def test_a_picture_that_changes_while_it_is_decoded(path: Path) -> None:
    def change(done: int, total: int) -> None:
        touch(path)

    with pytest.raises(DataError, match="changed while they were read: wait until the folder is"):
        load(path, SMALL, progress=change)
    assert not list(path.with_name("drawings.rows").iterdir())


def test_a_picture_that_changes_during_training(path: Path) -> None:
    """Batches keep the picture as it was decoded."""

    def change(epoch: object) -> None:
        touch(path)

    changed = train(path, SMALL, callbacks=[change], evaluate=False)
    assert changed.history.loss == train(path, SMALL, evaluate=False).history.loss


def test_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_no_more(writer: row_cache.RowWriter, *parts: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(row_cache.RowWriter, "_write", write_no_more)
    with pytest.raises(DataError, match=r"No space left on device\): make space, or give another"):
        load(path, SMALL)
    assert not list(path.with_name("drawings.rows").iterdir())


def test_strict_refuses_what_a_cache_left_out(path: Path) -> None:
    data = load(path, SMALL)
    assert [note.split(":")[0] for note in data.notes[:2]] == [
        "left out readme.txt",
        "left out bear/damaged.bmp",
    ]
    (path / "readme.txt").unlink()
    for _ in range(2):
        with pytest.raises(DataError, match=r"bear/damaged\.bmp cannot be used"):
            load(path, replace(SMALL, strict=True))
        load(path, SMALL)
    (path / "bear" / "damaged.bmp").unlink()
    assert load(path, replace(SMALL, strict=True)).stream.class_counts


def test_a_class_without_a_usable_picture(path: Path) -> None:
    (path / "cat").mkdir()
    (path / "cat" / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="no picture of the class 'cat' can be used; the first"):
        load(path, SMALL)


def test_what_needs_all_pictures_is_refused(path: Path) -> None:
    for change, message in (
        ({"batch_size": "full"}, "do not fit in memory together: give a batch size"),
        ({"group_duplicates": True}, "leave out group_duplicates, or give more memory"),
        ({"target": ("y",)}, "target, task and kind are for tables only"),
    ):
        with pytest.raises(PlainnetError, match=message):
            train(path, replace(SMALL, **change), evaluate=False)


def test_memory_decides_which_folders_are_streamed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(path, replace(SMALL, memory="10MB")).stream is None
    decoded = []

    def count(path: Path, size: int) -> np.ndarray:
        decoded.append(path)
        return decode(path, size)

    decode = images.decode
    monkeypatch.setattr(images, "decode", count)
    load(path, SMALL)
    n = len(decoded)
    load(path, SMALL)
    assert len(decoded) == n
