"""Damaged files are refused in one sentence: a sample of `make fuzz`."""

import contextlib
import gzip
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import format_one
from fuzz import bombs, forge, pictures, runs, tables, toml, using
from plainnet import DataError, Model, ModelFileError
from plainnet.data.read_table import read_frame

# The same examples every time, and few: the nightly run draws new ones by the thousand.
quick = settings(max_examples=150, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    return using.bench(tmp_path_factory.mktemp("bench"))


def test_valid_files_are_accepted(ready):
    for name, model in ready.models.items():
        drawn = (name, "none", model.content), "predict M D"
        outcome = using.use(ready, drawn)
        assert outcome.loaded, outcome.output
        assert not outcome.findings


@pytest.mark.parametrize("command", sorted(set(using.COMMANDS)))
def test_commands_accept_valid_files(ready, command, monkeypatch):
    monkeypatch.chdir(ready.folder)
    (ready.folder / "m").write_bytes(ready.models["picture"].content)
    assert using.run(command, ready.folder / "m", ready.data["picture"]) == []


def test_failures_are_detected(ready, monkeypatch):
    def fail(path):
        raise KeyError("oh")

    monkeypatch.setattr(Model, "load", fail)
    drawn = ("binary", "none", ready.models["binary"].content), "summary M"
    assert "load: KeyError: 'oh'" in using.use(ready, drawn).findings[0]
    monkeypatch.chdir(ready.folder)
    [found] = using.run("summary M", "m", "d")
    assert "unexpected KeyError" in found


def test_damaged_models(ready):
    loaded = []

    @quick
    @given(using.files(ready))
    def one(drawn):
        outcome = using.use(ready, drawn, commands=False)
        assert not outcome.findings
        loaded.append(outcome.loaded)

    one()
    assert 0.05 < np.mean(loaded) < 0.6  # lies are believed where nothing hangs on them


def test_damaged_models_in_use(ready):
    @settings(max_examples=30, suppress_health_check=list(HealthCheck))
    @given(using.files(ready))
    def one(drawn):
        assert not using.use(ready, drawn).findings

    one()


def test_damaged_tables(tmp_path):
    good = tables.good()
    for name, content in good.items():
        assert not tables.use(tmp_path, (name, content)).findings

    @quick
    @given(tables.files(good))
    def one(drawn):
        assert not tables.use(tmp_path, drawn).findings

    one()


def test_damaged_pictures(tmp_path):
    good = pictures.good()
    for name, content in good.items():
        if not name.startswith("n."):  # of 32 bits, which is refused
            assert pictures.use(tmp_path, (name, content)).loaded, name

    @quick
    @given(pictures.files(good))
    def one(drawn):
        assert not pictures.use(tmp_path, drawn).findings

    one()


def test_decompression_bombs(tmp_path):
    @settings(max_examples=20, suppress_health_check=list(HealthCheck))
    @given(bombs.files())
    def one(drawn):
        assert not bombs.use(tmp_path, drawn).findings

    one()


def test_excessive_memory_is_detected(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "read_frame", lambda path: np.ones(70_000_000))
    found = bombs.use(tmp_path, ("a.csv.gz", b"")).findings
    if Path("/proc/self/clear_refs").exists():
        assert "bytes became resident" in found[-1]


def test_damaged_toml(tmp_path):
    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(toml.files())
    def one(drawn):
        assert not toml.use(tmp_path, drawn).findings

    one()


def test_damaged_checkpoints(tmp_path):
    ready = runs.bench(tmp_path)
    for name, model in ready.models.items():
        outcome = runs.use(ready, ((name, "none", model.content), False, "a.run", "none"))
        assert outcome.loaded, outcome.output
        assert not outcome.findings
    loaded = []

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(runs.files(ready))
    def one(drawn):
        outcome = runs.use(ready, drawn)
        assert not outcome.findings
        loaded.append(outcome.loaded)

    one()
    assert 0.02 < np.mean(loaded) < 0.6


SMALL = 2**20  # less than is promised, so that the times count


# --- memory ---------------------------------------------------------------------------------------


def peak_of(act):
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "value",
    [
        "[" + "[]," * 60_000 + "[]]",
        "[" + "{}," * 60_000 + "{}]",
        "[" + '{"a":0},' * 30_000 + "0]",
        "[" + "0.5," * 60_000 + '"\U0001f600"]',
        "{" + ",".join(f'"{i}":0' for i in range(30_000)) + "}",
    ],
    ids=["lists", "objects", "pairs", "numbers beside a wide character", "keys"],
)
def test_headers_need_bounded_memory(ready, tmp_path, value):
    model = ready.models["binary"]
    tree = {**model.header, "record": {"x": forge.Raw(value)}}
    content = format_one.pack(model.arrays.items(), forge.signed(model.arrays.items(), tree))
    (tmp_path / "m").write_bytes(content)
    peak = peak_of(lambda: Model.load(tmp_path / "m"))
    assert peak < using.TIMES * len(content) + SMALL, peak / len(content)


def test_many_layers_or_arrays_need_bounded_memory(ready, tmp_path):
    model = ready.models["binary"]
    layers = [{"kind": "ReLU"}] * 12_000
    tree = {**model.header, "network": {**model.header["network"], "layers": layers}}
    many = {**model.arrays, **{f"rows.{i}": np.zeros(0, "<f4") for i in range(2_000)}}
    for arrays, header in ((model.arrays, tree), (many, model.header)):
        content = format_one.pack(arrays.items(), forge.signed(arrays.items(), header))
        (tmp_path / "m").write_bytes(content)

        def load():
            try:
                Model.load(tmp_path / "m")
            except ModelFileError as error:
                assert "at most 10,000 layers" in str(error)  # noqa: PT017

        peak = peak_of(load)
        assert peak < using.TIMES * len(content) + SMALL, peak / len(content)


def test_model_needs_four_times_its_file_size(tmp_path):
    from plainnet.config import TrainConfig
    from plainnet.data.synthetic import pandas_and_bears
    from plainnet.training import train

    X, y, classes = pandas_and_bears(10, size=128)
    model = train((X, y, classes), TrainConfig(hidden=(32,), epochs=1, size=128)).model
    model.save(tmp_path / "m")
    size = (tmp_path / "m").stat().st_size
    assert size > 2**22
    assert peak_of(lambda: Model.load(tmp_path / "m")) < 4.2 * size


def test_text_table_needs_proportional_memory(tmp_path):
    for text in (
        "é\n" * 50_000,
        "ć\n" * 50_000,
        "ab\n" * 50_000,
        "a,b\n" * 40_000,
        "a,b\n" + "," * 99_000,
    ):
        (tmp_path / "a.csv").write_text(text, encoding="utf-8")
        size = (tmp_path / "a.csv").stat().st_size

        def read():
            with contextlib.suppress(DataError):
                read_frame(tmp_path / "a.csv")

        assert peak_of(read) < tables.TIMES * size + SMALL, text[:4]


def test_damage_generator(ready):
    """Changed headers get a valid digest, so that later checks are reached."""
    model = ready.models["binary"]
    tree = json.loads(json.dumps(model.header))
    tree["record"]["notes"] = ["another"]
    content = format_one.pack(model.arrays.items(), forge.signed(model.arrays.items(), tree))
    assert format_one.read(content)[1]["record"]["notes"] == ["another"]
    assert gzip.compress(content)  # and it is bytes
