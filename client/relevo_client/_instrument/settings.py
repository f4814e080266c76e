"""The settings of `instrument`, from its arguments and from the environment."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    SecretStr,
    ValidationError,
)

from relevo_client._context.errors import InvalidFieldError
from relevo_client._near_cache.options import CacheOptions
from relevo_client._propagation.fallbacks import CASES, DEFAULT_POLICY, Fallback, Policy
from relevo_client.filters import MethodFilter

Kind: TypeAlias = Literal["grpc.client", "grpc.server", "starlette", "faststream"]
"""What `instrument` gives contexts to: channels, servers, applications, brokers."""
KINDS: frozenset[Kind] = frozenset(get_args(Kind))
RESOLVING = KINDS - {"grpc.client"}
"""The kinds that resolve references, for which a store is needed."""

VARIABLES: Mapping[str, str] = {
    "kinds": "RELEVO_KINDS",
    "target": "RELEVO_TARGET",
    "tls": "RELEVO_TLS",
    "ca": "RELEVO_CA",
    "cert": "RELEVO_CERT",
    "key": "RELEVO_KEY",
    "token": "RELEVO_TOKEN",
    "token_file": "RELEVO_TOKEN_FILE",
    "insecure_token": "RELEVO_INSECURE_TOKEN",
    "timeout": "RELEVO_TIMEOUT",
    "trust_callers": "RELEVO_TRUST_CALLERS",
    "reference_keys": "RELEVO_TRUSTED_KEYS",
    "authorize": "RELEVO_AUTHORIZE",
    "policy": "RELEVO_FALLBACKS",
    "allow": "RELEVO_ALLOW",
    "exempt": "RELEVO_EXEMPT",
    "trust_identity": "RELEVO_TRUST_IDENTITY",
    "trust_http_callers": "RELEVO_TRUST_HTTP_CALLERS",
    "begin": "RELEVO_BEGIN",
    "turns": "RELEVO_TURNS",
}
"""The environment variable of each setting that has one. None is a setting of the server."""

_PREFIX = "RELEVO_"
_BOOLS = {"true": True, "1": True, "false": False, "0": False}
_FUNCTION = re.compile(r"[\w.]+:[\w.]+")


def _parts(value: object) -> object:
    """The parts of a text, which commas separate; anything else as it is."""
    if not isinstance(value, str):
        return value
    return [each.strip() for each in value.split(",") if each.strip()]


def _function(value: object) -> object:
    if callable(value) or (isinstance(value, str) and _FUNCTION.fullmatch(value)):
        return value
    raise ValueError("must be a function, or its place as module:name")


def _policy(value: object) -> object:
    """The policy that a text such as `unavailable=last_known,not_found=proceed` describes."""
    if not isinstance(value, str):
        return value
    chosen: dict[str, Any] = {}
    for part in value.split(","):
        case, _, name = (each.strip() for each in part.partition("="))
        if case not in CASES:
            raise ValueError(f"has cases that are none of {', '.join(CASES)}")
        if name.upper() not in Fallback.__members__:
            names = ", ".join(each.lower() for each in Fallback.__members__)
            raise ValueError(f"{case} must be one of {names}")
        chosen[case] = Fallback[name.upper()]
    return Policy(**chosen)


def _trusted(value: object) -> object:
    if isinstance(value, bool) or value == "signed":
        return value
    if isinstance(value, str) and value.lower() in _BOOLS:
        return _BOOLS[value.lower()]
    raise ValueError('must be true, false or "signed"')


Trusted: TypeAlias = Annotated[Literal["signed"] | bool, BeforeValidator(_trusted)]
Function: TypeAlias = Annotated[Any, BeforeValidator(_function)]
Names: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_parts)]


class Settings(BaseModel):
    """The settings of an instrumentation, which `instrument` documents."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    kinds: Annotated[frozenset[Kind], BeforeValidator(_parts), Field(min_length=1)] = KINDS
    target: str | None = None
    tls: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    token: SecretStr | None = None
    token_file: Path | None = None
    insecure_token: bool = False
    timeout: Annotated[float, Field(gt=0)] = 2.0
    trust_callers: Trusted | None = None
    reference_keys: Path | None = None
    authorize: Function | None = None
    policy: Annotated[InstanceOf[Policy], BeforeValidator(_policy)] = DEFAULT_POLICY
    policies: tuple[tuple[MethodFilter, InstanceOf[Policy]], ...] = ()
    allow: Names | None = None
    exempt: Names = ()
    trust_identity: bool = False
    trust_http_callers: Trusted = False
    begin: Function | None = None
    turns: bool = False
    loaders: Mapping[str, Callable[..., Any]] = {}
    cache: InstanceOf[CacheOptions] | None = None


def settings_of(given: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """The settings of these arguments, and of the environment for what they leave out.

    A variable that is empty counts as not set. Raises InvalidFieldError, which names each wrong
    argument and its variable, and never a value.
    """
    values = {
        name: environment[variable]
        for name, variable in VARIABLES.items()
        if environment.get(variable, "").strip()
    }
    if "token_file" in values:
        values.pop("token", None)  # as the command line has it
    settings = _valid({**values, **given})
    problems = list(_contradictions(settings))
    if problems:
        raise InvalidFieldError([(named(field), text) for field, text in problems])
    return settings


def unknown_variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Variables that resemble one of a setting but are none, each with the most similar one.

    Other variables that begin with RELEVO_ are not ours: they may be settings of the server.
    """
    known = sorted(VARIABLES.values())
    for variable in environment:
        if variable.startswith(_PREFIX) and variable not in known:
            names = [each.removeprefix(_PREFIX) for each in known]
            near = get_close_matches(variable.removeprefix(_PREFIX), names, n=1, cutoff=0.8)
            if near:
                yield variable, _PREFIX + near[0]


def differing(settings: Settings, given: Mapping[str, Any]) -> list[str]:
    """The names of arguments that are not those of the settings. Raises InvalidFieldError."""
    inherited = {name: getattr(settings, name) for name in Settings.model_fields}
    wanted = _valid({**inherited, **given})
    return [name for name in given if getattr(wanted, name) != getattr(settings, name)]


def named(field: str) -> str:
    """The name of a setting in errors: the argument's, with its variable if it has one."""
    variable = VARIABLES.get(field)
    return f"{field} ({variable})" if variable else field


def loaded(field: str, function: Any) -> Any:
    """The user's function of a setting, imported if its place is given; None for None.

    Raises InvalidFieldError if it cannot be imported.
    """
    if not isinstance(function, str):
        return function
    try:
        return resolve_name(function)
    except (ImportError, AttributeError, ValueError) as error:
        text = f"{function} cannot be imported: {type(error).__name__}"
        raise InvalidFieldError([(named(field), text)]) from error


def _valid(values: Mapping[str, Any]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise InvalidFieldError(
            (named(str(each["loc"][0])), each["msg"].removeprefix("Value error, "))
            for each in error.errors(include_input=False, include_url=False, include_context=False)
        ) from None


def _contradictions(settings: Settings) -> Sequence[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if settings.target is None and settings.kinds & RESOLVING:
        resolving = ", ".join(sorted(settings.kinds & RESOLVING))
        found.append(("target", f"must be given: {resolving} need the store's address"))
    if settings.reference_keys is None:
        trusts: Collection[str] = ("trust_callers", "trust_http_callers")
        found += [
            (name, f'must not be "signed" without {named("reference_keys")}')
            for name in trusts
            if getattr(settings, name) == "signed"
        ]
    if settings.begin is not None and not settings.trust_identity:
        text = "must be true if 'begin' is given: who asks is what the headers say"
        found.append(("trust_identity", text))
    return found
