"""Authentication and authorization: bearer tokens, and the tenants that each opens."""

from collections.abc import Callable, Iterable
from hashlib import sha256

from relevo_server import errors
from relevo_server.settings import Principal

ALL_TENANTS = "*"
Metadata = Iterable[tuple[str, str | bytes]]
_SCHEME = "bearer "


class Caller:
    """The owner of a token, and the tenants that it opens (None: every tenant)."""

    def __init__(
        self, name: str, tenants: frozenset[str] | None, *, is_admin: bool = False
    ) -> None:
        self.name = name
        """The principal's name, "" if the server has no principals."""
        self._tenants = tenants
        self._is_admin = is_admin

    def require(self, tenant_id: str) -> None:
        """Raise PERMISSION_DENIED if the caller may not use the tenant."""
        if self._tenants is not None and tenant_id not in self._tenants:
            raise errors.tenant_denied(tenant_id)

    def require_all_tenants(self) -> None:
        """Raise PERMISSION_DENIED if the caller may use only some tenants."""
        if self._tenants is not None:
            raise errors.tenants_denied()

    def require_admin(self) -> None:
        """Raise PERMISSION_DENIED if the caller does not have the role `admin`."""
        if not self._is_admin:
            raise errors.role_denied("admin")


ANYONE = Caller("", None, is_admin=True)


class Access:
    """Finds the caller of a call. Without principals, everyone may use every tenant."""

    def __init__(self, principals: Iterable[Principal]) -> None:
        self._by_digest = {
            principal.token_sha256: Caller(
                principal.name,
                None if ALL_TENANTS in principal.tenants else frozenset(principal.tenants),
                is_admin=principal.admin,
            )
            for principal in principals
        }

    def caller(self, metadata: Callable[[], Metadata | None]) -> Caller:
        """The owner of the token in the metadata `authorization`.

        Raises UNAUTHENTICATED if there is no token, or an unknown one.
        """
        if not self._by_digest:
            return ANYONE
        for name, value in metadata() or ():
            if name == "authorization" and isinstance(value, str):
                scheme, token = value[: len(_SCHEME)], value[len(_SCHEME) :]
                # Tokens are found by their digest, so timing reveals nothing about them.
                caller = self._by_digest.get(sha256(token.encode()).hexdigest())
                if scheme.lower() == _SCHEME and caller:
                    return caller
        raise errors.unauthenticated()
