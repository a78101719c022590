"""The actions of the page: each takes a session and a JSON body, and answers JSON or a frame."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from plainnet.data.table import Table
from plainnet.errors import PlainnetError
from plainnet.evaluate.training_record import finite
from plainnet.play import exports
from plainnet.play.datasets import read_upload
from plainnet.play.findings import findings
from plainnet.play.frame import frame, state
from plainnet.play.history import read_link
from plainnet.play.session import Session
from plainnet.play.settings import choices
from plainnet.play.step_view import step_view
from plainnet.storage.json_reader import shortened

MOST_MILLISECONDS, MOST_BATCHES, MOST_EPOCHS = 1000, 10_000, 1000
Body = Mapping[str, Any]


def open_session(body: bytes, tables: dict[str, Table]) -> Session:
    """Make a session from a link, or from the table of the command line, or with the spiral."""
    given = _object(body)
    link = given.get("link")
    if link is not None:
        return Session(read_link(_text(link, "link")), tables)
    session = Session(tables=tables)
    if tables:
        session.change({"data": "table", "table": next(iter(tables))})
        session.done.clear()
    return session


def described(session: Session) -> dict[str, Any]:
    """Return the state of a session with the choices of its settings."""
    return {"state": state(session), "choices": choices()}


@np.errstate(all="ignore")  # a network that diverges is shown, with its failure
def perform(session: Session, action: str, body: bytes, name: str) -> bytes | dict[str, Any]:
    """Perform an action; answer with a frame, the state, or what the action returns."""
    if action == "upload":
        _upload(session, body, name)
        return {"state": state(session)}
    given = _object(body)
    if action in FRAMES:
        FRAMES[action](session, given)
        known, known_beside = (_whole(given, key, 10**9) for key in ("known", "known_beside"))
        return frame(session.run, known, session.beside, known_beside)
    if action in CHANGES:
        CHANGES[action](session, given)
        return {"state": state(session)}
    if action in ANSWERS:
        answer = ANSWERS[action](session, given)
        return answer if isinstance(answer, bytes) else dict(finite(answer))
    raise PlainnetError(f"there is no action {shortened(action)}")


def _upload(session: Session, body: bytes, name: str) -> None:
    fingerprint, table = read_upload(body, name)
    before, session.tables = session.tables, {**session.tables, fingerprint: table}
    try:
        session.change({"data": "table", "table": fingerprint, "target": ""})
    except PlainnetError:
        session.tables = before
        raise


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise PlainnetError("the request is not JSON") from None
    if not isinstance(given, dict):
        raise PlainnetError(f"the request must be a JSON object, got {shortened(given)}")
    return given


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise PlainnetError(f"{name} must be text, got {shortened(value)}")
    return value


def _whole(body: Body, name: str, most: int, default: int = 0) -> int:
    value = body.get(name, default)
    if type(value) is not int or not 0 <= value <= most:
        raise PlainnetError(
            f"{name} must be a whole number from 0 to {most:,}, got {shortened(value)}"
        )
    return value


def _advance(session: Session, body: Body) -> None:
    session.advance(
        _whole(body, "batches", MOST_BATCHES),
        _whole(body, "epochs", MOST_EPOCHS),
        _whole(body, "milliseconds", MOST_MILLISECONDS),
    )


def _view(session: Session, body: Body) -> None:
    axes, fixed = body.get("axes"), body.get("fixed", {})
    pair = isinstance(axes, list) and [type(axis) for axis in axes] == [int, int]
    if not pair or not isinstance(fixed, dict):
        raise PlainnetError("a view needs two features as axes, and numbers for others")
    values = {}
    for feature, value in fixed.items():
        if not feature.isdecimal() or type(value) not in (int, float) or abs(value) > 1e6:
            raise PlainnetError(f"feature {shortened(feature)} cannot be {shortened(value)}")
        values[int(feature)] = float(value)
    session.view((axes[0], axes[1]), values)  # type: ignore[index]


def _step_view(session: Session, body: Body) -> dict[str, Any]:
    sizes = [*(session.settings.config.hidden or ()), session.phase.net.n_out]
    layer = _whole(body, "layer", len(sizes) - 1)
    return step_view(session.phase, layer, _whole(body, "unit", sizes[layer] - 1))


def _export(session: Session, body: Body) -> bytes:
    kind = _text(body.get("kind"), "kind")
    if kind not in exports.EXPORTS:
        kinds = ", ".join(exports.EXPORTS)
        raise PlainnetError(f"an export is one of {kinds}, got {shortened(kind)}")
    return exports.EXPORTS[kind](session)


FRAMES: Mapping[str, Callable[[Session, Body], None]] = {
    "advance": _advance,
    "seek": lambda session, body: session.seek(_whole(body, "step", session.history.total)),
}
CHANGES: Mapping[str, Callable[[Session, Body], None]] = {
    "change": lambda session, body: session.change(body),
    "follow": lambda session, body: session.follow(_text(body.get("link"), "link")),
    "compare": lambda session, _: session.compare(),
    "end_comparison": lambda session, _: session.end_comparison(),
    "restart": lambda session, _: session.restart(),
    "undo": lambda session, _: session.undo(),
    "redo": lambda session, _: session.redo(),
    "view": _view,
}
ANSWERS: Mapping[str, Callable[[Session, Body], bytes | dict[str, Any]]] = {
    "step": _step_view,
    "findings": lambda session, _: {"findings": findings(session)},
    "link": lambda session, _: {"link": session.history.link()},
    "export": _export,
}
