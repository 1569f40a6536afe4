"""AsyncAPI 3.0 of the edge: the WebSocket both ways, Server-Sent Events, and the polls that stand for them."""

from typing import Any, Final

from whimbrel.protocol.contract import examples, schema
from whimbrel.protocol.contract.models import CLIENT_FRAMES, EDGE_FRAMES, REFUSAL, REPLIES, type_of
from whimbrel.protocol.contract.openapi import COMPONENTS, components
from whimbrel.protocol.contract.schema import Schema, edge_frame_name
from whimbrel.protocol.frames import Connect, Frame
from whimbrel.protocol.versions import PATH_PREFIX, SUBPROTOCOL, WIRE_VERSION

VERSION: Final = "3.0.0"
_SHARED: Final = [frame for frame in EDGE_FRAMES if frame in CLIENT_FRAMES]  # ping and pong
# What the edge says by itself; the rest only answers.
_TOLD: Final = [frame for frame in EDGE_FRAMES if frame not in {*REPLIES.values()} or frame in _SHARED]


def document() -> Schema:
    """Return the description of all that travels in frames."""
    definitions = schema.body_definitions()
    wanted = [schema.CLIENT_FRAME, schema.EDGE_FRAME, "PollRequest", "PollReply", "CommandsRequest", "CommandsReply"]
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Whimbrel edge",
            "version": str(WIRE_VERSION),
            "description": "Frames between a client and the edge. docs/websocket-api.md is the same for people.",
            "license": {"name": "Apache-2.0"},
        },
        "x-generated": schema.GENERATED,
        "defaultContentType": "application/json",
        "servers": {
            "websocket": {"host": "localhost:8080", "protocol": "ws", "description": "In development."},
            "http": {"host": "localhost:8080", "protocol": "http", "description": "In development."},
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": components(definitions, wanted)},
    }


def _channels() -> Schema:
    frames = {_name(frame): _component(frame) for frame in dict.fromkeys((*CLIENT_FRAMES, *EDGE_FRAMES))}
    told = {_name(frame): _component(frame) for frame in EDGE_FRAMES}
    return {
        "webSocket": {
            "address": f"{PATH_PREFIX}/ws",
            "description": f"Subprotocol {SUBPROTOCOL}. A message is one frame, or an array of frames.",
            "servers": [{"$ref": "#/servers/websocket"}],
            "messages": frames,
            "bindings": {
                "ws": {
                    "method": "GET",
                    "query": {
                        "type": "object",
                        "properties": {"ticket": {"type": "string", "description": "Stands for the token, once."}},
                    },
                    "headers": {
                        "type": "object",
                        "properties": {
                            "Sec-WebSocket-Protocol": {"type": "string", "const": SUBPROTOCOL},
                            "Authorization": {"type": "string", "description": "Bearer, instead of `token`."},
                        },
                    },
                }
            },
        },
        "eventStream": {
            "address": f"{PATH_PREFIX}/sse",
            "description": "Server-Sent Events: `id` is the cursor, `event` the frame's type, `data` the frame.",
            "servers": [{"$ref": "#/servers/http"}],
            "messages": {_name(Connect): _component(Connect), **told},
        },
        "poll": {
            "address": f"{PATH_PREFIX}/poll",
            "description": "Long-poll: a request that waits for publications.",
            "servers": [{"$ref": "#/servers/http"}],
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in ("PollRequest", "PollReply")},
        },
        "commands": {
            "address": f"{PATH_PREFIX}/commands",
            "description": "Frames from a client without a WebSocket.",
            "servers": [{"$ref": "#/servers/http"}],
            "messages": {
                name: {"$ref": f"#/components/messages/{name}"} for name in ("CommandsRequest", "CommandsReply")
            },
        },
    }


def _operations() -> Schema:
    operations: Schema = {type_of(frame): _request(frame) for frame in CLIENT_FRAMES}
    operations["tell"] = {
        "action": "send",
        "summary": "What the edge says by itself.",
        "channel": _channel("webSocket"),
        "messages": [_in_channel("webSocket", _name(frame)) for frame in _TOLD],
    }
    operations["tellByEvents"] = {
        "action": "send",
        "summary": "The same as Server-Sent Events.",
        "channel": _channel("eventStream"),
        "messages": [_in_channel("eventStream", _name(frame)) for frame in EDGE_FRAMES],
    }
    operations["longPoll"] = _exchange("poll", "PollRequest", "PollReply")
    operations["sendCommands"] = _exchange("commands", "CommandsRequest", "CommandsReply")
    return operations


def _request(frame: type[Frame]) -> Schema:
    operation: Schema = {
        "action": "receive",
        "summary": _about(frame),
        "channel": _channel("webSocket"),
        "messages": [_in_channel("webSocket", _name(frame))],
    }
    reply = REPLIES.get(frame)
    if reply is not None:
        answers: list[type[Frame]] = [reply] if reply in _SHARED else [reply, REFUSAL]
        operation["reply"] = {
            "channel": _channel("webSocket"),
            "messages": [_in_channel("webSocket", _name(answer)) for answer in answers],
        }
    return operation


def _exchange(channel: str, request: str, reply: str) -> Schema:
    return {
        "action": "receive",
        "channel": _channel(channel),
        "messages": [_in_channel(channel, request)],
        "bindings": {"http": {"method": "POST"}},
        "reply": {"channel": _channel(channel), "messages": [_in_channel(channel, reply)]},
    }


def _messages() -> Schema:
    messages: Schema = {}
    for frame in dict.fromkeys((*CLIENT_FRAMES, *EDGE_FRAMES)):
        shown = {**examples.CLIENT_FRAMES, **examples.EDGE_FRAMES} if frame in _SHARED else None
        source = shown or (examples.CLIENT_FRAMES if frame in CLIENT_FRAMES else examples.EDGE_FRAMES)
        payload = frame.__name__ if frame in CLIENT_FRAMES else edge_frame_name(frame)
        message = _message(type_of(frame), _about(frame), payload, source[type_of(frame)])
        if "id" in frame.model_fields:
            message["correlationId"] = {"location": "$message.payload#/id"}
        messages[_name(frame)] = message
    for body in ("PollRequest", "PollReply", "CommandsRequest", "CommandsReply"):
        messages[body] = _message(body, schema.body_definitions()[body]["description"], body, examples.BODIES[body])
    return messages


def _message(name: str, about: str, payload: str, example: Any) -> Schema:
    return {
        "name": name,
        "summary": about,
        "payload": {"$ref": COMPONENTS + payload},
        "examples": [{"payload": example}],
    }


def _name(frame: type[Frame]) -> str:
    return frame.__name__


def _about(frame: type[Frame]) -> str:
    return " ".join((frame.__doc__ or "").split())


def _component(frame: type[Frame]) -> Schema:
    return {"$ref": f"#/components/messages/{_name(frame)}"}


def _channel(name: str) -> Schema:
    return {"$ref": f"#/channels/{name}"}


def _in_channel(channel: str, message: str) -> Schema:
    return {"$ref": f"#/channels/{channel}/messages/{message}"}
