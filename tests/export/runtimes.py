"""Helpers for export tests: an ONNX runtime, and models with random parameters."""

import numpy as np
import onnx
import onnxruntime
import pandas as pd

from plainnet.data.table_schema import TableSchema
from plainnet.data.targets import Target
from plainnet.export.onnx import to_onnx
from plainnet.model import Model
from plainnet.nn import Dense, Sequential
from plainnet.nn.losses import losses_for


def untrained(frame, targets, layers=(), task=None, kinds=None, dtype=np.float32, seed=0):
    """Create a table model with random parameters and running statistics."""
    target = Target.infer(frame, targets, task)
    schema = TableSchema.infer(frame, exclude=targets, kinds=kinds)
    net = Sequential([*layers, Dense(target.n_out)], n_in=schema.n_features, seed=seed, dtype=dtype)
    drawn = np.random.default_rng(seed + 1)
    for name, view in net.params.views.items():
        if not name.endswith(".W"):
            view[...] = drawn.uniform(0.3, 1.5, view.shape)
    return Model(schema, target, net, losses_for(target.task)[0]())


def session(content):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options)


def feeds(running, frame):
    """Convert the cells of a table to graph inputs."""
    cells = {}
    for port in running.get_inputs():
        column = frame[[port.name]]
        if port.type == "tensor(double)":
            cells[port.name] = column.to_numpy(np.float64, na_value=np.nan)
        else:
            cells[port.name] = column.astype(object).fillna("").to_numpy(object)
    return cells


def answers(model, frame):
    """Check the file and return its outputs for a table, by name."""
    content = to_onnx(model)
    onnx.checker.check_model(content, full_check=True)
    running = session(content)
    names = [port.name for port in running.get_outputs()]
    return dict(zip(names, running.run(names, feeds(running, frame)), strict=True))


def numbers(X, y):
    """Create a table of numbers x0, x1, ... and a target y."""
    return pd.DataFrame({**{f"x{i}": column for i, column in enumerate(np.transpose(X))}, "y": y})
