"""Access tokens that the private Dovecot checks by itself (oauth2 passdb, local validation).

Tokens are JWTs signed by HS256 with a key that stands here: it guards a server on loopback that
holds sample mail only.
"""

import base64
import hashlib
import hmac
import json
import time

ISSUER = "https://login.example.test/"
_KEY = b"a demo key that protects only sample mail"


def mint_token(user, lifetime_s=3600):
    """A token for `user`; a negative lifetime gives one that has expired."""
    now = int(time.time())
    header = {"alg": "HS256", "typ": "JWT"}
    claims = {"iss": ISSUER, "sub": user, "email": user, "iat": now - 10, "nbf": now - 7200,
              "exp": now + lifetime_s}
    signed = b".".join(_encode(json.dumps(part).encode()) for part in (header, claims))
    return (signed + b"." + _encode(hmac.digest(_KEY, signed, hashlib.sha256))).decode()


def write_passdb(run_directory):
    """Write the key and the passdb's arguments below a Dovecot's run directory."""
    keys = run_directory / "keys" / "default" / "HS256"
    keys.mkdir(parents=True)
    (keys / "default").write_bytes(base64.b64encode(_KEY))
    (run_directory / "oauth2.conf").write_text(
        "introspection_mode = local\n"
        f"local_validation_key_dict = fs:posix:prefix={run_directory}/keys/\n"
        "username_attribute = email\n"
        f"issuers = {ISSUER}\n")


def _encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")
