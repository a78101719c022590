"""How theta moves: optimizers, schedules, batches and the training loop; imports nn."""

from plainnet.engine.prediction import predict_logits
from plainnet.optim.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop, clip_by_norm
from plainnet.optim.schedules import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Schedule,
    StepDecay,
    WarmUp,
)
from plainnet.train.early_stopping import EarlyStopping
from plainnet.train.fit import fit
from plainnet.train.history import Epoch, History

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
