"""What can be wrong with input, as one tree.

ContractError                 anything that breaks the contract
├── MalformedChannel          a text outside the channel grammar
├── MalformedPosition         an epoch, offset or cursor that cannot be one
├── MalformedFrame            a message that is not JSON, or not an object or array of objects: closes the connection
├── FrameTooLarge             over MAX_FRAME_BYTES: closes the connection
├── MalformedBody             bytes that are not a publication body
└── Refused                   a request that earns an error code; the connection lives on
"""

from whimbrel.protocol.codes import ErrorCode


class ContractError(ValueError):
    """Input that breaks the wire contract; the message names the value and the way out."""


class MalformedChannel(ContractError):
    """A text that no channel can have."""


class MalformedPosition(ContractError):
    """An epoch, offset or cursor outside the grammar."""


class MalformedFrame(ContractError):
    """A message that is not JSON, or not an object or an array of objects."""


class FrameTooLarge(ContractError):
    """A message longer than the limit stated in `connected.limits.frame_bytes`."""


class MalformedBody(ContractError):
    """Bytes that are not a publication body."""


class Refused(ContractError):
    """A request that is answered with ``code``.

    ``frame_id`` is the request's `id`, None where it bore none.
    """

    def __init__(
        self, code: ErrorCode, message: str, *, frame_id: int | None = None, retry_ms: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.frame_id = frame_id
        self.retry_ms = retry_ms
