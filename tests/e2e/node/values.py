"""Keys and values that a careless implementation gets wrong."""

from typing import Any

from relevo_client import ContextKey

TENANT = "acme: größe & söhne"
AGENT = ContextKey("agent_config", TENANT, "support 100% 🚀")
COLLECTION = ContextKey("collection:config", TENANT, "a:b%3A c")
CONVERSATION = ContextKey("conversation", TENANT, "c 1:2%é'()")


def _nested(levels: int) -> dict[str, Any]:
    return {"deeper": _nested(levels - 1) if levels else []}


VALUES: dict[str, Any] = {
    "null": None,
    "booleans": [True, False],
    "integers": [0, 1, -17, 1 << 53, -(1 << 53)],
    "doubles": [0.1, -0.0, 5e-324, 1.7976931348623157e308, 1e21, 2.0**60],
    "texts": ["", "größe 🚀", '\u2028"\\\n\0', "null"],
    "lists": [[], [[]], [{}], [None, 1, "one"]],
    "dicts": {"": {}, "a": {"b": [{"c": None}]}},
    "as deep as a section may be": _nested(29),
    "top-p, in %": 1,
    "a.b`c": "the characters of paths",
    "größe 🚀": "not ASCII",
    "10": "ten",
    "2": "two",
    "__proto__": {"__proto__": "a name that JavaScript has a use for"},
    "constructor": "another one",
}
