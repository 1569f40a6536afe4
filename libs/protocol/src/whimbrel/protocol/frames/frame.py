"""What all frames share: the model they are made from, and the fields that several of them bear."""

import json
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from whimbrel.protocol.limits import MAX_ID, MAX_TOKEN_BYTES


class Frame(BaseModel):
    """A JSON object with `type`; fields that this version does not know are ignored."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


_STRICT: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False)


def _writable(data: Any) -> Any:
    # 1e999 is JSON, but reads as infinity, which JSON cannot write: it would break every client of the channel. So
    # would a lone surrogate that a laxer parser in front of us let through.
    _STRICT.encode(data).encode()
    return data


RequestId = Annotated[
    int, Field(ge=1, le=MAX_ID, strict=True, description="Asks for a reply that bears the same `id`.")
]
ReplyId = Annotated[int, Field(ge=1, le=MAX_ID, strict=True, description="The `id` of the request.")]
ShownChannel = Annotated[str, Field(description="As the client names it: `inbox`, or `namespace:name`.")]
Slug = Annotated[str, Field(description="The name of the code.")]
Token = Annotated[str, Field(max_length=MAX_TOKEN_BYTES)]
Data = Annotated[Any, AfterValidator(_writable)]
