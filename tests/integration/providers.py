"""OpenID Connect providers on real sockets: one that is right, one that need not be.

``real_provider`` runs oidc-provider-mock as a process of its own.  ``Provider`` is a
small one of the tests' own, whose tokens can be made wrong on purpose; it checks what
a provider must of PKCE and of the client, which the other one does not.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, RSAKey

from ascwebhooks.embedded import ports
from ascwebhooks.embedded.processes import Program, spawn, stop
from tests.waiting import wait_until

CLIENT_ID = "ascwebhooks"
CLIENT_SECRET = "the client's own secret"


class Provider:
    """A provider whose answers a test may change.

    Args:
        claims: What it says of whoever signs in.
        change: Changes an ID token's claims before it is signed.
        header: Added to, or instead of, what an ID token's header says.
        info: What its userinfo endpoint says; there is none if it is None.
        metadata: Added to what it publishes of itself.
        answer: What the token endpoint says instead, with a status.
        key: What signs; ``published`` are the keys that it shows.
    """

    def __init__(self) -> None:
        self.key: Key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.published: list[Key] = [self.key]
        self.algorithm = "RS256"
        self.claims: dict[str, Any] = {"sub": "u-1", "groups": ["asc-admins"]}
        self.change: Callable[[dict[str, Any]], object] = lambda _: None
        self.header: dict[str, Any] = {}
        self.info: dict[str, Any] | None = None
        self.metadata: dict[str, Any] = {}
        self.answer: tuple[int, Any] | None = None
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer((ports.HOST, 0), self._handler())
        self._server.daemon_threads = True
        self.issuer = f"http://{ports.HOST}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """Stop; from now on nobody answers there."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def rotate(self, key: Key, algorithm: str) -> None:
        """Sign with another key from now on, and publish that one alone."""
        self.key, self.algorithm, self.published = key, algorithm, [key]

    def sign_in(self, url: str) -> str:
        """Be the browser at the authorization endpoint; return where it is sent."""
        asked = {name: each[0] for name, each in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        back = {"code": code, "state": asked["state"]}
        return f"{asked['redirect_uri']}?{urlencode(back)}"

    def _token(self, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        if self.answer is not None:
            return self.answer
        pair = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if authorization != f"Basic {pair}":
            return 401, {"error": "invalid_client"}
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or asked["code_challenge"] != challenge
            or asked["redirect_uri"] != form["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.claims,
        }
        self.change(claims)
        answer = {"token_type": "Bearer", "access_token": "access", "expires_in": 300}
        return 200, {**answer, "id_token": self._signed(claims)}

    def _signed(self, claims: dict[str, Any]) -> str:
        header = {"alg": self.algorithm, "kid": self.key.kid, **self.header}
        if header["alg"] == "none":
            parts = [_encoded(header), _encoded(claims), ""]
            return ".".join(parts)
        return jwt.encode(header, claims, self.key, algorithms=[header["alg"]])

    def _document(self, path: str) -> Any:
        if path == "/.well-known/openid-configuration":
            found = {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
            if self.info is not None:
                found["userinfo_endpoint"] = f"{self.issuer}/userinfo"
            return {**found, **self.metadata}
        if path == "/keys":
            others = [{"kty": "AKP", "kid": "of a later kind", "alg": "ML-DSA-44"}]
            shown = [
                each.as_dict(private=False)
                for each in self.published
                if not isinstance(each, OctKey)
            ]
            return {"keys": others + shown}
        return self.info if path == "/userinfo" else None

    def _handler(provider) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                found = provider._document(self.path)
                self._send(404 if found is None else 200, found)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: each[0] for name, each in parse_qs(body).items()}
                self._send(
                    *provider._token(form, self.headers.get("Authorization", ""))
                )

            def _send(self, status: int, found: Any) -> None:
                raw = found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def elliptic_key(kid: str) -> Key:
    """Return a key for ES256."""
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


def _encoded(part: dict[str, Any]) -> str:
    raw = json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@contextmanager
def real_provider(folder: Path, *people: dict[str, Any]) -> Iterator[str]:
    """A provider process that knows these people; its issuer.

    Args:
        folder: Where it logs.
        people: The claims of each, ``sub`` among them.
    """
    port = ports.choose()
    argv = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock"]
    argv += ["-H", ports.HOST, "-p", str(port), "--require-nonce"]
    for each in people:
        argv += ["--user-claims", json.dumps(each)]
    bind = f"{ports.HOST}:{port}"
    with ExitStack() as stack:
        log = stack.enter_context((folder / "provider.log").open("wb"))
        process = spawn(Program(name="provider", argv=tuple(argv), env=None), log)
        stack.callback(stop, process, 15, 10)
        path = "/.well-known/openid-configuration"
        wait_until(lambda: ports.answers(bind, path), 30, "the provider is there")
        yield f"http://{bind}"


def sign_in_there(url: str, subject: str) -> str:
    """Be the browser at the real provider; return where it is sent."""
    answer = requests.post(
        url, data={"sub": subject}, allow_redirects=False, timeout=10
    )
    assert answer.status_code in {302, 303}, answer.text
    return answer.headers["Location"]
