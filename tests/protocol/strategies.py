"""Frames, channels and JSON values as Hypothesis makes them up."""

import string
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from whimbrel.protocol import frames
from whimbrel.protocol.channels import NAME_PATTERN, NAMESPACE_PATTERN, Channel
from whimbrel.protocol.frames import ClientFrame, EdgeFrame
from whimbrel.protocol.limits import HISTORY_LIMIT, MAX_EPOCH_CHARS, MAX_ID, MAX_OFFSET
from whimbrel.protocol.positions import Position

texts = st.text(st.characters(codec="utf-8"), max_size=40)
names = st.from_regex(NAME_PATTERN, fullmatch=True)
namespaces = st.from_regex(NAMESPACE_PATTERN, fullmatch=True)
channels = st.builds(Channel, namespaces, names)
channel_texts = st.one_of(st.just("inbox"), channels.map(str))
offsets = st.integers(0, MAX_OFFSET)
ids = st.integers(1, MAX_ID)
epochs = st.text(string.ascii_letters + string.digits + string.punctuation, min_size=1, max_size=MAX_EPOCH_CHARS)
positions = st.builds(Position, epoch=epochs, offset=offsets)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def built(model: type[BaseModel], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return ``model`` with any of ``fields``; those that may be absent sometimes are."""
    required = {name: each for name, each in fields.items() if model.model_fields[name].is_required()}
    optional = {name: each for name, each in fields.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda chosen: model.model_validate(chosen))


short = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
limited = st.integers(1, HISTORY_LIMIT)
published = {"event": texts, "event_id": texts, "time": texts, "data": json_values, "offset": offsets, "prev": offsets}
publications = built(frames.Publication, **published, channel=channel_texts, trace=texts)
refused = built(frames.RefusedChannel, code=ids, slug=texts, message=texts)
opened = {
    "epoch": epochs,
    "offset": offsets,
    "recovered": st.booleans(),
    "publications": st.lists(publications, max_size=2).map(tuple),
    "error": refused,
}
limits = built(frames.ConnectedLimits, frame_bytes=ids, channels=ids, publish_per_s=st.floats(0.1, 1000))
heartbeats = built(frames.Heartbeat, ping=st.floats(1, 60), pong=st.floats(1, 60))
transports = st.lists(st.sampled_from(["websocket", "sse", "poll"]), max_size=3).map(tuple)

client_frames: st.SearchStrategy[ClientFrame] = st.one_of(
    built(
        frames.Connect,
        id=ids,
        token=texts,
        resume=texts,
        device=texts,
        client=texts,
        channels=st.dictionaries(texts, st.none() | positions, max_size=3),
    ),
    built(frames.Subscribe, id=ids, channel=channel_texts, position=positions, last=limited),
    built(frames.Unsubscribe, id=ids, channel=channel_texts),
    built(frames.Publish, id=ids, channel=channel_texts, event=short, data=json_values, key=short),
    built(frames.Ack, id=ids, channel=channel_texts, offset=offsets),
    built(frames.History, id=ids, channel=channel_texts, after=offsets, before=offsets, limit=limited),
    built(frames.Inbox, id=ids, unread=st.booleans(), before=offsets, limit=limited),
    built(frames.Presence, id=ids, channel=channel_texts),
    built(frames.Refresh, id=ids, token=texts),
    built(frames.Ping),
    built(frames.Pong),
)
edge_frames: st.SearchStrategy[EdgeFrame] = st.one_of(
    built(
        frames.Connected,
        id=ids,
        session=texts,
        user=texts,
        expires_in=ids,
        ping=st.floats(1, 60),
        pong=st.floats(1, 60),
        limits=limits,
        channels=st.dictionaries(channel_texts, built(frames.Subscription, **opened), max_size=2),
        resume=texts,
    ),
    built(frames.Subscribed, **opened, id=ids, channel=channel_texts),
    publications,
    built(frames.PositionFrame, channel=channel_texts, offset=offsets, prev=offsets),
    built(frames.Resume, grant=texts),
    built(frames.Unsubscribed, channel=channel_texts, code=ids, slug=texts, reason=texts),
    built(frames.Join, channel=channel_texts, user=texts, info=json_values),
    built(frames.Leave, channel=channel_texts, user=texts, info=json_values),
    built(
        frames.Ok,
        id=ids,
        offset=offsets,
        publications=st.lists(publications, max_size=2).map(tuple),
        epoch=epochs,
        users=st.lists(texts, max_size=3).map(tuple),
        expires_in=ids,
        unread=ids,
        read=offsets,
        complete=st.booleans(),
    ),
    built(frames.AckedFrame, channel=channel_texts, offset=offsets),
    ids.map(lambda seconds: frames.Expiring(in_s=seconds)),
    built(
        frames.Policy,
        transports=transports,
        cohort=texts,
        heartbeat=heartbeats,
        poll=built(frames.PollAdvice, interval=st.floats(1, 60)),
    ),
    built(frames.Disconnect, code=ids, slug=texts, reason=texts, reconnect=st.booleans(), after_ms=ids),
    built(frames.Error, id=ids, code=ids, slug=texts, message=texts, temporary=st.booleans(), retry_ms=ids),
)
