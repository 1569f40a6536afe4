"""Scripts: what an edge does, what an application does, and what is expected of the client between them.

A script is a YAML file of ``scripts/``. Loading is strict: a verb, a field of a frame or a state that does not exist
fails, with its line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from whimbrel.client import State
from whimbrel.protocol import frames
from whimbrel.protocol.frames import Frame

SCRIPTS: Final = Path(__file__).parent / "scripts"
OVER: Final = "$over"  # the transport that is played over
EPOCH: Final = "e1"  # of channels that a script `begins` with

Over = Literal["websocket", "sse", "poll", "auto"]
Transport = Literal["websocket", "sse", "poll"]
Pattern = dict[str, JsonValue]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Place(Strict):
    """A position."""

    epoch: str
    offset: int


class Following(Strict):
    """A subscription of the application. One that is ``paused`` takes nothing until it is told to."""

    channel: str
    position: Place | None = None
    last: int | None = None
    paused: bool = False


class Publishing(Strict):
    """A publish of the application, ``times`` times."""

    channel: str
    event: str = "order.noted"
    data: JsonValue = None
    key: str | None = None
    expires_s: float | None = None
    bytes: int | None = Field(None, description="Of a text in place of ``data``.")
    times: int = 1


class Acknowledging(Strict):
    channel: str
    offset: int


class Looking(Strict):
    """A look into a channel's history."""

    channel: str
    after: int | None = None
    before: int | None = None
    limit: int = 200


class Refusal(Strict):
    """An HTTP answer. With a ``code`` it is the edge's, as a problem; without one it is a proxy's page."""

    status: int
    code: int | None = None
    slug: str = "refused"
    retry_after: int | None = None
    retry_after_ms: int | None = None


class Farewell(Strict):
    """A `disconnect` and the close behind it; ``quietly``: the close alone."""

    code: int
    slug: str = "closed"
    after_ms: int = 0
    reconnect: bool | None = None
    quietly: bool = False


STATES: Final = frozenset(state.value for state in State)

VERBS: Final[Mapping[str, TypeAdapter[Any]]] = MappingProxyType(
    {
        # what the application does
        "start": TypeAdapter(list[Following]),
        "subscribe": TypeAdapter(Following),
        "unsubscribe": TypeAdapter(str),
        "resume": TypeAdapter(str),
        "publish": TypeAdapter(Publishing),
        "ack": TypeAdapter(Acknowledging),
        "history": TypeAdapter(Looking),
        "presence": TypeAdapter(str),
        "stop": TypeAdapter(None),
        # what it must see
        "states": TypeAdapter(list[str]),
        "applies": TypeAdapter(list[JsonValue]),
        "sees": TypeAdapter(Pattern),
        "stands": TypeAdapter(dict[str, Place]),
        # what the edge expects
        "connects": TypeAdapter(Pattern),
        "arrives": TypeAdapter(Transport | Literal["$over"]),
        "hears": TypeAdapter(Pattern),
        "gone": TypeAdapter(None),
        # what the edge does
        "refuse": TypeAdapter(Refusal),
        "hold": TypeAdapter(None),
        "accept": TypeAdapter(None),
        "welcome": TypeAdapter(Pattern),
        "reply": TypeAdapter(Pattern),
        "serve": TypeAdapter(int),
        "send": TypeAdapter(list[Pattern]),
        "say": TypeAdapter(str),
        "beat": TypeAdapter(None),
        "close": TypeAdapter(Farewell),
        "cut": TypeAdapter(None),
        "mute": TypeAdapter(None),
        "advise": TypeAdapter(list[Transport]),
        # time
        "within": TypeAdapter(Seconds),
        "passes": TypeAdapter(Seconds),
        "quiet": TypeAdapter(Seconds),
    }
)
BARE: Final = frozenset({"stop", "gone", "hold", "accept", "beat", "cut", "mute"})  # verbs that say it all
EXPECTED_OF_CLIENT: Final = frozenset({"connects", "hears"})
SAID_BY_EDGE: Final = frozenset({"welcome", "reply", "send"})


class Modifiers(Strict):
    """``via`` names a connection, by default the one opened last; ``name`` gives one; ``over`` says which transport."""

    via: str | None = None
    name: str | None = None
    over: Transport | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a conversation."""

    verb: str
    value: Any
    modifiers: Modifiers
    line: int

    def __str__(self) -> str:
        said = self.value.model_dump(exclude_defaults=True) if isinstance(self.value, BaseModel) else self.value
        return self.verb if said is None else f"{self.verb}: {said}"


class Head(Strict):
    """What a script says before its steps."""

    guards: str = Field(min_length=20, pattern=r"\.$")
    over: list[Over] = Field(min_length=1)
    begins: dict[str, int] | None = None
    tokens: list[str | None] | None = None
    unlawful: bool = False
    steps: list[dict[str, JsonValue] | str] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Script:
    """A conversation over one of the transports it is played over."""

    name: str
    guards: str
    over: Over
    tokens: tuple[str | None, ...]
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return f"{self.name}-{self.over}"


class BadScript(Exception):
    """A script that says what does not exist."""


def load(path: Path) -> list[Script]:
    """Return the script once for each transport that it is to be played over.

    Raises BadScript, naming file and line.
    """
    text = path.read_text()
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    _refuse_doubles(root, path)
    try:
        head = Head.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        raise BadScript(f"{path.name}: {error}") from None
    lines = _lines_of_steps(root)
    steps: list[Step] = [] if head.begins is None else _beginning(head.begins)
    for said, line in zip(head.steps, lines, strict=True):
        try:
            steps.append(_step({said: None} if isinstance(said, str) else said, line, lawful=not head.unlawful))
        except (ValueError, BadScript) as error:
            raise BadScript(f"{path.name}:{line}: {error}") from None
    if steps[0].verb != "start":
        raise BadScript(f"{path.name}: the first step is `start`, unless the script `begins` with channels")
    tokens = tuple(head.tokens or ("token-1", "token-2", "token-3"))
    guards = " ".join(head.guards.split())
    return [Script(path.stem, guards, over, tokens, tuple(steps)) for over in head.over]


def load_all(folder: Path = SCRIPTS) -> list[Script]:
    """Return all scripts of a folder, by name."""
    return [script for path in sorted(folder.glob("*.yaml")) for script in load(path)]


def _step(said: Mapping[str, Any], line: int, *, lawful: bool) -> Step:
    verbs = [name for name in said if name in VERBS]
    if len(verbs) != 1:
        raise BadScript(f"a step has one verb, and {sorted(said)} has {len(verbs)}: use {', '.join(VERBS)}")
    [verb] = verbs
    modifiers = Modifiers.model_validate({name: value for name, value in said.items() if name != verb})
    value = VERBS[verb].validate_python(_spelt(verb, said[verb]))
    if verb == "states":
        for each in value:
            if each.split()[0] not in STATES:
                raise BadScript(f"{each!r} is no state: use {', '.join(sorted(STATES))}")
    if lawful:
        _check_frames(verb, value)
    return Step(verb, value, modifiers, line)


def _spelt(verb: str, value: Any) -> Any:
    """Write out what a script may say in short."""
    match verb, value:
        case "subscribe", str():
            return {"channel": value}
        case "start", list():
            return [{"channel": each} if isinstance(each, str) else each for each in value]
        case "send", dict():
            return [value]
        case _, None if verb not in BARE:
            raise BadScript(f"`{verb}` needs to be told what")
        case _:
            return value


def _beginning(channels: Mapping[str, int]) -> list[Step]:
    """Return the steps after which a client follows ``channels``, each from an offset."""
    subscriptions = {name: {"epoch": EPOCH, "offset": offset} for name, offset in channels.items()}
    said: list[dict[str, Any]] = [
        {"start": list(channels)},
        {"states": ["connecting"]},
        {"connects": {"channels": dict.fromkeys(channels)}},
        {"welcome": {"channels": subscriptions}},
        {"states": ["connected"]},
    ]
    return [_step(each, 0, lawful=True) for each in said]


# --- frames as the contract spells them


def _fields(side: object) -> dict[str, frozenset[str]]:
    models = [value for name, value in vars(side).items() if isinstance(value, type) and issubclass(value, Frame)]
    return {
        each.model_fields["type"].default: frozenset(field.alias or name for name, field in each.model_fields.items())
        for each in models
        if "type" in each.model_fields
    }


CLIENT_FIELDS: Final = _fields(frames.client)
EDGE_FIELDS: Final = _fields(frames.edge)


def _check_frames(verb: str, value: Any) -> None:
    """Refuse a frame, or a pattern of one, whose type or fields the contract does not know."""
    if verb in EXPECTED_OF_CLIENT:
        _check_frame({"type": "connect"} | value if verb == "connects" else value, CLIENT_FIELDS)
    elif verb in SAID_BY_EDGE:
        for each in value if verb == "send" else [value]:
            _check_frame({"type": "connected"} | each if verb == "welcome" else each, EDGE_FIELDS)


def _check_frame(frame: Mapping[str, Any], known: Mapping[str, frozenset[str]]) -> None:
    kind = str(frame.get("type"))
    if kind not in known:
        raise BadScript(f"{kind!r} is no frame of this side: use {', '.join(sorted(known))}")
    strange = frame.keys() - known[kind]
    if strange:
        raise BadScript(f"`{kind}` has no field {', '.join(sorted(strange))}: it has {', '.join(sorted(known[kind]))}")


# --- what YAML lets pass


def _refuse_doubles(node: yaml.Node | None, path: Path) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise BadScript(f"{path.name}:{key.start_mark.line + 1}: {key.value!r} is said twice")
            seen.add(key.value)
            _refuse_doubles(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            _refuse_doubles(each, path)


def _lines_of_steps(root: yaml.Node | None) -> Sequence[int]:
    assert isinstance(root, yaml.MappingNode)
    [steps] = [value for key, value in root.value if key.value == "steps"]
    return [each.start_mark.line + 1 for each in steps.value]
