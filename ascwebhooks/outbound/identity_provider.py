"""An OpenID Connect provider: where it sends people, and who it says they are.

What it publishes of itself is kept for a while; a key that is not among the known
ones has its keys read again, so a rotation there needs nothing here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Lock
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ExpiredTokenError,
    InvalidKeyIdError,
    JoseError,
    MissingAlgorithmError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import KeySet

from ascwebhooks.domain.identities import Refusal
from ascwebhooks.errors import SignOnRefused

#: Signed by a key of the provider's; nothing that we could have signed ourselves.
ALGORITHMS = ("RS256", "ES256")
_KINDS = {"RSA", "EC"}
_KEPT_S = 3_600.0
_TIMEOUT_S = (3.05, 5.0)
_LEEWAY_S = 60
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_UNREADABLE = "the provider's answer cannot be read."
_CLAIMS = {
    "iss": Refusal.ISSUER,
    "aud": Refusal.AUDIENCE,
    "azp": Refusal.AUDIENCE,
    "nonce": Refusal.NONCE,
}


class IdentityProvider:
    """One provider, as ``ASCWEBHOOKS_OIDC_…`` name it."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str | None,
        *,
        scopes: str,
        ca_file: str | None = None,
    ) -> None:
        """Take what the provider knows this installation by; ask it nothing yet."""
        self.issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._verify: str | bool = ca_file or True
        self._lock = Lock()
        self._kept: dict[str, tuple[float, dict[str, Any]]] = {}

    def authorization_url(
        self, redirect_uri: str, *, state: str, nonce: str, verifier: str
    ) -> str:
        """Return where a browser goes to sign in.

        Raises:
            SignOnRefused: If the provider does not answer.

        Source:
            OpenID Connect Core 1.0 §3.1.2.1; RFC 7636 (PKCE).
        """
        endpoint = self._metadata()["authorization_endpoint"]
        with self._session(redirect_uri) as session:
            url, _ = session.create_authorization_url(
                endpoint, state=state, nonce=nonce, code_verifier=verifier
            )
        return str(url)

    def check_answer(self, answer: Mapping[str, str]) -> None:
        """Raise SignOnRefused unless what a browser brought back is an answer of ours.

        Source:
            OpenID Connect Core 1.0 §3.1.2.6; RFC 9207 for ``iss``.
        """
        must = self._metadata().get("authorization_response_iss_parameter_supported")
        if answer.get("iss", None if must else self.issuer) != self.issuer:
            raise SignOnRefused(Refusal.ISSUER, "another provider has answered.")
        if "error" in answer:
            raise SignOnRefused(Refusal.PROVIDER, _told(answer["error"]))
        if not answer.get("code"):
            raise SignOnRefused(Refusal.PROVIDER, "its answer has no code.")

    def claims(
        self, code: str, redirect_uri: str, *, nonce: str, verifier: str
    ) -> dict[str, Any]:
        """Exchange a code; return what the provider says of somebody, verified.

        Raises:
            SignOnRefused: If the provider does not answer, or it cannot be believed.
        """
        token = self._exchange(code, redirect_uri, verifier)
        id_token, access = token.get("id_token"), token.get("access_token")
        if not isinstance(id_token, str):
            raise SignOnRefused(Refusal.TOKEN, "its answer has no ID token.")
        claims = self._verified(id_token, nonce, access)
        return {**self._user_info(claims, access), **claims}

    def end_session_url(self, back: str) -> str | None:
        """Return where a browser goes to log out there too; None if nowhere.

        Source:
            OpenID Connect RP-Initiated Logout 1.0 §2.
        """
        try:
            endpoint = self._metadata().get("end_session_endpoint")
        except SignOnRefused:
            return None
        if not endpoint:
            return None
        query = {"client_id": self._client_id, "post_logout_redirect_uri": back}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def _exchange(self, code: str, redirect_uri: str, verifier: str) -> dict[str, Any]:
        endpoint = self._metadata()["token_endpoint"]
        try:
            with self._session(redirect_uri) as session:
                token = session.fetch_token(
                    endpoint,
                    code=code,
                    code_verifier=verifier,
                    timeout=_TIMEOUT_S,
                    allow_redirects=False,
                )
        except AuthlibBaseError as error:
            raise SignOnRefused(Refusal.PROVIDER, _told(error.error)) from error
        except requests.RequestException as error:
            raise _away(error) from error
        except ValueError as error:
            raise SignOnRefused(Refusal.AWAY, _UNREADABLE) from error
        return dict(token)

    def _session(self, redirect_uri: str) -> OAuth2Session:
        session = OAuth2Session(
            self._client_id,
            self._client_secret,
            scope=self._scopes,
            redirect_uri=redirect_uri,
            token_endpoint_auth_method=self._client_auth(),
            code_challenge_method="S256",
        )
        session.verify = self._verify
        return session

    def _client_auth(self) -> str:
        if self._client_secret is None:
            return "none"
        known = self._metadata().get("token_endpoint_auth_methods_supported") or []
        basic = not known or "client_secret_basic" in known
        return "client_secret_basic" if basic else "client_secret_post"

    def _verified(self, id_token: str, nonce: str, access: Any) -> dict[str, Any]:
        """Return the claims of an ID token that is the provider's, ours and fresh.

        Source:
            OpenID Connect Core 1.0 §3.1.3.7.
        """
        token = self._decoded(id_token)
        expected = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self._client_id},
        }
        known = {
            "nonce": nonce,
            "client_id": self._client_id,
            "access_token": access if isinstance(access, str) else None,
        }
        claims = CodeIDToken(token.claims, token.header, expected, known)
        try:
            claims.validate(leeway=_LEEWAY_S)
        except ExpiredTokenError as error:
            raise SignOnRefused(Refusal.EXPIRED, "the token has expired.") from error
        except ClaimError as error:
            reason = _CLAIMS.get(error.claim, Refusal.TOKEN)
            told = f"the token's {error.claim} is not as it must be."
            raise SignOnRefused(reason, told) from error
        except (JoseError, TypeError, ValueError) as error:
            raise SignOnRefused(Refusal.TOKEN, "the token is malformed.") from error
        return dict(claims)

    def _decoded(self, id_token: str) -> jwt.Token:
        try:
            try:
                return jwt.decode(id_token, self._keys(), ALGORITHMS)
            except InvalidKeyIdError:
                self._forget(self._metadata()["jwks_uri"])
                return jwt.decode(id_token, self._keys(), ALGORITHMS)
        except InvalidKeyIdError as error:
            told = "no key of the provider's has signed the token."
            raise SignOnRefused(Refusal.KEY, told) from error
        except (UnsupportedAlgorithmError, MissingAlgorithmError) as error:
            told = f"the token is not signed by {' or '.join(ALGORITHMS)}."
            raise SignOnRefused(Refusal.ALGORITHM, told) from error
        except BadSignatureError as error:
            told = "the token's signature is wrong."
            raise SignOnRefused(Refusal.SIGNATURE, told) from error
        except (JoseError, ValueError) as error:
            raise SignOnRefused(Refusal.TOKEN, "the token is malformed.") from error

    def _keys(self) -> KeySet:
        found = self._fetch(self._metadata()["jwks_uri"]).get("keys")
        keys = found if isinstance(found, list) else []
        # A provider may have keys of kinds, and for uses, that are none of ours.
        ours = [
            each
            for each in keys
            if isinstance(each, dict)
            and each.get("kty") in _KINDS
            and each.get("use", "sig") == "sig"
        ]
        return KeySet.import_key_set({"keys": ours})

    def _user_info(self, claims: Mapping[str, Any], access: Any) -> dict[str, Any]:
        """Return what else the provider tells; some have groups there alone.

        Source:
            OpenID Connect Core 1.0 §5.3.2: of another subject it is not used.
        """
        endpoint = self._metadata().get("userinfo_endpoint")
        if not endpoint or not isinstance(access, str):
            return {}
        headers = {"Authorization": f"Bearer {access}"}
        told = self._read(endpoint, headers)
        return told if told.get("sub") == claims["sub"] else {}

    def _metadata(self) -> dict[str, Any]:
        found = self._fetch(
            self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        )
        if found.get("issuer") != self.issuer:
            told = "the provider's own description names another issuer."
            raise SignOnRefused(Refusal.ISSUER, told)
        scheme = urlsplit(self.issuer).scheme
        for name in _NEEDED:
            # https may not lead to http: the client's secret goes there.
            if not str(found.get(name, "")).startswith(("https://", f"{scheme}://")):
                told = f"the provider's own description lacks {name}."
                raise SignOnRefused(Refusal.AWAY, told)
        return found

    def _fetch(self, url: str) -> dict[str, Any]:
        """Return a document of the provider's, at most an hour old."""
        with self._lock:
            at, kept = self._kept.get(url, (0.0, None))
        if kept is not None and time.monotonic() - at < _KEPT_S:
            return kept
        found = self._read(url)
        with self._lock:
            self._kept[url] = (time.monotonic(), found)
        return found

    def _forget(self, url: str) -> None:
        with self._lock:
            self._kept.pop(url, None)

    def _read(
        self, url: str, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        try:
            answer = requests.get(
                url,
                headers=headers,
                timeout=_TIMEOUT_S,
                allow_redirects=False,
                verify=self._verify,
            )
            answer.raise_for_status()
            found: Any = answer.json()
        except requests.RequestException as error:
            raise _away(error) from error
        if answer.status_code != requests.codes.ok or not isinstance(found, dict):
            raise SignOnRefused(Refusal.AWAY, _UNREADABLE)
        return found


def _away(error: requests.RequestException) -> SignOnRefused:
    kind = type(error).__name__
    return SignOnRefused(Refusal.AWAY, f"the provider does not answer ({kind}).")


def _told(error: object) -> str:
    """Return a provider's error code; only what a code can look like is shown.

    Source:
        RFC 6749 §4.1.2.1.
    """
    shown = "".join(
        each for each in str(error)[:100] if each.isascii() and each.isprintable()
    )
    return f"the provider says {shown!r}."
