"""How theta moves: optimizers, schedules, batches and the training loop; imports nn."""

from plainnet.train.history import Epoch, History
from plainnet.train.loop import fit
from plainnet.train.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop, clip_by_norm
from plainnet.train.prediction import predict
from plainnet.train.schedules import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Schedule,
    StepDecay,
    WarmUp,
)
from plainnet.train.stopping import EarlyStopping

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "EarlyStopping",
    "Epoch",
    "Exponential",
    "History",
    "OneCycle",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "StepDecay",
    "WarmUp",
    "clip_by_norm",
    "fit",
    "predict",
]
