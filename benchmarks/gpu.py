"""gpu: train the same networks on one GPU, with plainnet on CuPy's arrays and with PyTorch.

Needs CuPy and PyTorch with CUDA. Run with ``python benchmarks/gpu.py``. ``--cpu`` runs both on the
processor, to test the script.
"""

import sys
import time

import numpy as np
import torch

from plainnet import Adam, SoftmaxCrossEntropy, fit, mlp

NETWORKS = (  # inputs, hidden layers, rows, batch size, epochs
    (784, (256, 128), 10_000, 128, 3),
    (2048, (2048, 2048, 2048, 2048), 16_384, 512, 3),
)
CLASSES = 10
CPU = "--cpu" in sys.argv
DEVICE = "cpu" if CPU else "cuda"
Data = tuple[np.ndarray, np.ndarray]


def data(n_in: int, rows: int) -> Data:
    """Draw rows and classes that a linear rule of the rows decides."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, n_in), dtype=np.float32)
    return X, (X @ rng.standard_normal((n_in, CLASSES), dtype=np.float32)).argmax(axis=1)


def plainnet_seconds(net, X, y, batch_size: int, epochs: int) -> tuple[float, float]:
    start = time.perf_counter()
    history = fit(
        net,
        X,
        y,
        loss=SoftmaxCrossEntropy(),
        optimizer=Adam(0.001),
        epochs=epochs,
        batch_size=batch_size,
    )
    return time.perf_counter() - start, history.loss[-1]


def torch_seconds(
    net: torch.nn.Module, X: torch.Tensor, y: torch.Tensor, batch_size: int, epochs: int
) -> tuple[float, float]:
    loss, optimizer = torch.nn.CrossEntropyLoss(), torch.optim.Adam(net.parameters(), lr=0.001)
    start = time.perf_counter()
    for _ in range(epochs):
        order, total = torch.randperm(len(X), device=X.device), torch.zeros((), device=X.device)
        for rows in order.split(batch_size):
            value = loss(net(X[rows]), y[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.detach() * len(rows)
        mean = float(total) / len(X)  # waits for the GPU
    return time.perf_counter() - start, mean


def torch_copy(net, n_in: int, hidden: tuple[int, ...]) -> torch.nn.Module:
    layers, n = [], n_in
    for units in hidden:
        layers += [torch.nn.Linear(n, units), torch.nn.ReLU()]
        n = units
    module = torch.nn.Sequential(*layers, torch.nn.Linear(n, CLASSES))
    state = {name: torch.from_numpy(array) for name, array in net.to_torch_state().items()}
    module.load_state_dict(state)
    return module.to(DEVICE)


def main() -> None:
    if CPU:
        convert = np.asarray
    else:
        import cupy

        convert = cupy.asarray
        print(f"CuPy {cupy.__version__}, PyTorch {torch.__version__}", torch.cuda.get_device_name())
    torch.backends.cuda.matmul.allow_tf32 = False  # float32 in both
    for n_in, hidden, rows, batch_size, epochs in NETWORKS:
        X, y = data(n_in, rows)
        X_own, y_own = convert(X), convert(y)
        X_torch, y_torch = (torch.from_numpy(array).to(DEVICE) for array in (X, y))
        start = mlp(n_in, hidden, CLASSES, seed=0)
        # the first run loads kernels
        for name in ("first", "second"):
            ours = plainnet_seconds(start.to(convert), X_own, y_own, batch_size, epochs)
            theirs = torch_seconds(
                torch_copy(start, n_in, hidden), X_torch, y_torch, batch_size, epochs
            )
            print(
                f"{n_in}-{'-'.join(map(str, hidden))}-{CLASSES}, {rows} rows, batch {batch_size}, "
                f"Adam, {epochs} epochs, {name} run: plainnet {ours[0]:.3f} s, loss {ours[1]:.5f}; "
                f"PyTorch {theirs[0]:.3f} s, loss {theirs[1]:.5f}; ratio {ours[0] / theirs[0]:.2f}"
            )


if __name__ == "__main__":
    main()
