"""An issuer of JWTs for tests: its keys, the file that it publishes, and its tokens."""

import json
import time
from pathlib import Path
from typing import Any, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from relevo_server.identities import Issuer

NAME, ISSUER, AUDIENCE = "sso", "https://sso.example", "relevo"

Private: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def private_key(algorithm: str) -> Private:
    """A new key for RS256, PS256, ES256 or EdDSA."""
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


def public_jwk(key: Private) -> dict[str, Any]:
    """The public half of a key, as a JWK without its id and algorithm."""
    public: Any = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        return dict(RSAAlgorithm.to_jwk(public, as_dict=True))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return dict(ECAlgorithm.to_jwk(public, as_dict=True))
    return dict(OKPAlgorithm.to_jwk(public, as_dict=True))


class TokenIssuer:
    """Signs tokens with its newest key, and publishes all keys in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.keys: dict[str, tuple[str, Private]] = {}
        """The algorithm and the key of each id."""

    def rotate(self, kid: str, algorithm: str = "ES256", *, is_published: bool = True) -> None:
        """Sign with a new key from now on."""
        self.keys[kid] = algorithm, private_key(algorithm)
        if is_published:
            self.publish(*self.keys)

    def publish(self, *kids: str) -> None:
        """Let the file have these keys, and no others. The file is replaced as a whole."""
        new = self.file.with_suffix(".new")
        new.write_text(self.document(*kids))
        new.replace(self.file)

    def document(self, *kids: str) -> str:
        """A JWKS with these keys."""
        keys = [
            {**public_jwk(key), "kid": kid, "alg": algorithm, "use": "sig"}
            for kid, (algorithm, key) in self.keys.items()
            if kid in kids
        ]
        return json.dumps({"keys": keys})

    def token(self, *, kid: str = "", header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token for five minutes. A claim that is None is left out."""
        kid = kid or list(self.keys)[-1]
        algorithm, key = self.keys[kid]
        given = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "alice",
            "exp": time.time() + 300,
            "relevo_tenants": ["acme"],
            **claims,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        payload = json.dumps(chosen).encode()
        # Below PyJWT's own checks of claims, which are not what is tested.
        return jwt.PyJWS().encode(payload, key, algorithm, headers={"kid": kid, **(header or {})})

    def settings(self, **rest: Any) -> Issuer:
        """The settings of a server that trusts this issuer."""
        values = {
            "name": NAME,
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "jwks": str(self.file),
            "leeway": 0,
            **rest,
        }
        return Issuer.model_validate(values)
