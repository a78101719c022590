"""shared_training: a network trains together with those of other ranks."""

from collections.abc import Iterator
from contextlib import contextmanager

from plainnet.nn.network import Sequential
from plainnet.nn.ranks import ALONE, Ranks


@contextmanager
def shared_training(net: Sequential, ranks: Ranks) -> Iterator[None]:
    """Let a network take the share of this rank of each batch, inside the block.

    Its parameters then lie where the ranks of one machine read them, if there is room.
    """
    own = net.params
    net.share_batches(ranks)
    if ranks.size > 1:
        net.use(own.converted(ranks.share_memory))
    try:
        yield
    finally:
        net.share_batches(ALONE)
        if net.params is not own:
            own.theta[...], own.grad[...] = net.params.theta, net.params.grad
            net.use(own)
    ranks.release_memory()  # together: after an error, others may not come here
