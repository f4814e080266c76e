"""Forms: what a page sends, without a parser of uploads."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

MOST = 64 * 1024
"""The largest form in bytes."""
_MOST_FIELDS = 1000


class FormError(Exception):
    """A form that is too large or malformed. Its text quotes none of it: there may be secrets."""


async def form_of(request: Request, *, most: int = MOST) -> Mapping[str, str]:
    """The fields of a form; of several with one name, the last. Raises FormError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise FormError("a form has to be sent as application/x-www-form-urlencoded")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise FormError(f"a form may have at most {most:,} bytes")
    try:
        return dict(
            parse_qsl(
                body.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MOST_FIELDS,
            )
        )
    except ValueError:
        raise FormError("the form cannot be read") from None
