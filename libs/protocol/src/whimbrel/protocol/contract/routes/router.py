"""Groups, rules and the state of the whole."""

from typing import Final, get_args

from whimbrel.protocol import bodies
from whimbrel.protocol.contract.routes.route import Answer, Caller, Parameter, Route
from whimbrel.protocol.gaps import Cause
from whimbrel.protocol.rpc import AuthorizeReply, AuthorizeRequest
from whimbrel.protocol.versions import PATH_PREFIX

_GROUP: Final = Parameter("path", "group", "A group.")
_USER: Final = Parameter("path", "user", "A user.")
_AFTER: Final = Parameter(
    "query", "after", "Only letters behind this one.", {"type": "integer", "minimum": 0, "default": 0}
)
_LETTERS: Final = Parameter(
    "query", "limit", "Letters in the answer.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
)
_CODE: Final = Parameter("query", "code", "Only letters with this reason.")
_SUBJECT: Final = Parameter("query", "subject", "Only letters from subjects that this pattern covers: events.shop.>")
_SINCE: Final = Parameter(
    "query", "since", "Only gaps from this time on, Unix seconds.", {"type": "number", "minimum": 0, "default": 0}
)
_GAPS: Final = Parameter(
    "query", "limit", "Gaps in the answer.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
)
_OF_CHANNEL: Final = Parameter("query", "channel", "Only gaps in this channel; an inbox is `user:<sub>`.")
_FOR_USER: Final = Parameter("query", "user", "Only gaps of this user.")
_CAUSE: Final = Parameter("query", "cause", "Only gaps of this cause.", {"enum": list(get_args(Cause))})
_NUMBER: Final = Parameter("path", "number", "A dead letter's `sequence`.", {"type": "integer", "minimum": 1})

_SESSION: Final = Parameter("path", "session", "A session, as `connected` named it.")
_OF_USER: Final = Parameter("query", "user", "Sessions of this user.")
_SESSIONS: Final = Parameter(
    "query", "limit", "Sessions in the answer.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 5}
)

ROUTER: Final = (
    Route(
        "get",
        f"{PATH_PREFIX}/groups/{{group}}/members",
        "listMembers",
        "List the members of a group.",
        Caller.SERVICE,
        {200: Answer("The members.", bodies.MembersReply)},
        parameters=(_GROUP,),
        failures=(400, 401, 503),
    ),
    Route(
        "put",
        f"{PATH_PREFIX}/groups/{{group}}/members/{{user}}",
        "join",
        "Make a user a member; open sessions follow within a second.",
        Caller.SERVICE,
        {204: Answer("The user is a member.")},
        parameters=(_GROUP, _USER),
        failures=(400, 401, 503),
    ),
    Route(
        "delete",
        f"{PATH_PREFIX}/groups/{{group}}/members/{{user}}",
        "leave",
        "End a membership; open sessions follow within a second.",
        Caller.SERVICE,
        {204: Answer("The user is no member.")},
        parameters=(_GROUP, _USER),
        failures=(400, 401, 503),
    ),
    Route(
        "get",
        f"{PATH_PREFIX}/users/{{user}}/groups",
        "listGroups",
        "List the groups of a user.",
        Caller.SERVICE,
        {200: Answer("The groups.", bodies.GroupsReply)},
        parameters=(_USER,),
        failures=(400, 401, 503),
    ),
    Route(
        "get",
        f"{PATH_PREFIX}/namespaces",
        "listNamespaces",
        "Tell the rules of all namespaces.",
        Caller.SERVICE,
        {200: Answer("The rules.", bodies.NamespacesReply)},
        failures=(401, 503),
    ),
    Route(
        "post",
        f"{PATH_PREFIX}/authorize",
        "authorize",
        "Tell whether a user may do something in a channel, as the edge would decide.",
        Caller.SERVICE,
        {200: Answer("The decision, and why.", AuthorizeReply)},
        body=AuthorizeRequest,
        failures=(400, 401, 503),
    ),
    Route(
        "get",
        f"{PATH_PREFIX}/status",
        "readStatus",
        "Tell what runs, what the streams hold, and how far the notifier is behind.",
        Caller.SERVICE,
        {200: Answer("The state of the whole.", bodies.StatusReply)},
        failures=(401, 503),
    ),
    Route(
        "get",
        f"{PATH_PREFIX}/sessions/{{session}}",
        "readSession",
        "Tell how a session ended, or how it is; known for a day.",
        Caller.SERVICE,
        {200: Answer("What is known of it.", bodies.SessionReply)},
        parameters=(_SESSION,),
        failures=(400, 401, 404, 503),
    ),
    Route(
        "get",
        f"{PATH_PREFIX}/sessions",
        "listSessions",
        "Tell of the latest sessions of a user.",
        Caller.SERVICE,
        {200: Answer("The sessions, those that live first.", bodies.SessionsReply)},
        parameters=(_OF_USER, _SESSIONS),
        failures=(400, 401, 503),
    ),
    Route(
        "get",
        f"{PATH_PREFIX}/gaps",
        "listGaps",
        "Tell who was told to reload, and why; known for a week.",
        Caller.SERVICE,
        {200: Answer("The gaps, the latest first.", bodies.GapsReply)},
        parameters=(_SINCE, _GAPS, _OF_CHANNEL, _FOR_USER, _CAUSE),
        failures=(400, 401, 503),
    ),
    Route(
        "get",
        f"{PATH_PREFIX}/dlq",
        "listDeadLetters",
        "List events that could not be delivered.",
        Caller.SERVICE,
        {200: Answer("The events, oldest first.", bodies.DeadLettersReply)},
        parameters=(_AFTER, _LETTERS, _CODE, _SUBJECT),
        failures=(400, 401, 503),
    ),
    Route(
        "get",
        f"{PATH_PREFIX}/dlq/{{number}}",
        "readDeadLetter",
        "Show one event that could not be delivered.",
        Caller.SERVICE,
        {200: Answer("The event, and why.", bodies.DeadLetter)},
        parameters=(_NUMBER,),
        failures=(400, 401, 410, 503),
    ),
    Route(
        "post",
        f"{PATH_PREFIX}/dlq/{{number}}/replay",
        "replayDeadLetter",
        "Publish the event again and drop the letter; repeating it publishes nothing twice.",
        Caller.SERVICE,
        {200: Answer("Where the event stands now.", bodies.ReplayReply)},
        parameters=(_NUMBER,),
        failures=(400, 401, 410, 503),
    ),
    Route(
        "delete",
        f"{PATH_PREFIX}/dlq/{{number}}",
        "dropDeadLetter",
        "Remove a letter for good.",
        Caller.SERVICE,
        {204: Answer("It is gone.")},
        parameters=(_NUMBER,),
        failures=(400, 401, 503),
    ),
)
