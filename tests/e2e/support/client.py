"""An HTTP client that judges every answer by openapi.yaml. One connection a request unless kept."""

import base64
import contextlib
import gzip
import http.client
import json as jsonlib
import socket
from urllib.parse import quote, urlencode

TIMEOUT_S = 60


class Answer:
    def __init__(self, method, target, status, headers, body):
        self.method, self.target, self.status, self.headers, self.body = method, target, status, headers, body

    @property
    def content_type(self):
        return (self.headers.get("Content-Type") or "").split(";")[0].strip().lower()

    @property
    def plain_body(self):
        return gzip.decompress(self.body) if self.headers.get("Content-Encoding") == "gzip" else self.body

    @property
    def json(self):
        return jsonlib.loads(self.plain_body)

    @property
    def text(self):
        return self.plain_body.decode()

    @property
    def code(self):
        """The problem's code, None when the answer is no problem."""
        return self.json["code"] if self.content_type == "application/problem+json" else None

    def __repr__(self):
        return f"<{self.method} {self.target}: {self.status} {self.plain_body[:600]!r}>"


class Client:
    def __init__(self, server, mailbox=None, token=None, keep=False):
        self.server, self.mailbox, self.token = server, mailbox, token
        self._kept = self._connect() if keep else None

    # ---- requests ----
    def request(self, method, path, *, query=None, json=None, body=None, headers=None, expect=None):
        """`path` is sent as it is; `query` is encoded. expect: a status, or several; None: any."""
        target = with_query(path, query)
        connection = self._kept or self._connect()
        try:
            connection.request(method, target, *self._payload(json, body, headers))
            response = connection.getresponse()
            answer = Answer(method, target, response.status, response.headers, response.read())
        finally:
            if connection is not self._kept:
                connection.close()
        self.server.contract.judge(answer)
        wanted = (expect,) if isinstance(expect, int) else expect
        assert wanted is None or answer.status in wanted, f"wanted {expect}: {answer!r}"
        return answer

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def head(self, path, **more):
        return self.request("HEAD", path, **more)

    def post(self, path, **more):
        return self.request("POST", path, **more)

    def patch(self, path, **more):
        return self.request("PATCH", path, **more)

    def put(self, path, **more):
        return self.request("PUT", path, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)

    def options(self, path, **more):
        return self.request("OPTIONS", path, **more)

    def problem(self, method, path, status, code, **more):
        """The document of the problem that must come."""
        answer = self.request(method, path, expect=status, **more)
        assert answer.code == code, f"wanted {code}: {answer!r}"
        return answer.json

    @contextlib.contextmanager
    def stream(self, path, *, method="GET", query=None, headers=None):
        """The http.client response, its body not yet read; closing early is leaving."""
        connection = self._connect()
        try:
            connection.request(method, with_query(path, query), *self._payload(None, None, headers))
            yield connection.getresponse()
        finally:
            connection.close()

    def raw(self, data, timeout_s=TIMEOUT_S):
        """All bytes until the server closes."""
        with socket.create_connection((self.server.host, self.server.port), timeout=timeout_s) as connection:
            connection.sendall(data)
            received = bytearray()
            with contextlib.suppress(ConnectionResetError):
                while block := connection.recv(65536):
                    received += block
            return bytes(received)

    # ---- signing in ----
    def sign_in(self, mailbox, security="tls", **changes):
        answer = self.post("/v1/sessions", json=mailbox.target(security, **changes), expect=201)
        signed_in = Client(self.server, token=answer.json["token"])
        self.server.tokens.append(signed_in.token)
        return signed_in

    def sign_out(self):
        self.delete("/v1/sessions/current", expect=204)

    # ---- common walks ----
    def messages(self, folder="inbox", **query):
        """Every message of a folder, page by page."""
        found, query = [], {"folder": folder, "limit": 500, **query}
        while True:
            page = self.get("/v1/accounts/me/messages", query=query, expect=200).json
            found += page["items"]
            if page["nextCursor"] is None:
                return found
            query["cursor"] = page["nextCursor"]

    def find(self, subject, folder="inbox"):
        """The one message of that subject."""
        found = [message for message in self.messages(folder) if message["subject"] == subject]
        assert len(found) == 1, f"{len(found)} messages are called {subject!r}"
        return found[0]

    # ---- within ----
    def _connect(self):
        return http.client.HTTPConnection(self.server.host, self.server.port, timeout=TIMEOUT_S)

    def _payload(self, json, body, headers):
        sent = {"Accept-Encoding": "identity", **self._authorization()}
        if json is not None:
            body = jsonlib.dumps(json).encode()
            sent["Content-Type"] = "application/json"
        for name, value in (headers or {}).items():
            for known in [known for known in sent if known.lower() == name.lower()]:
                del sent[known]
            if value is not None:
                sent[name] = value
        return body, sent

    def _authorization(self):
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        if self.mailbox:
            return {"Authorization": basic_credentials(self.mailbox.user, self.mailbox.password)}
        return {}


def basic_credentials(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def with_query(path, query):
    return f"{path}?{urlencode(query, quote_via=quote)}" if query else path
