"""HTTP as such: methods, codings, origins, ids of requests, odd escapes and odd requests."""

import gzip
import json
import socket
import time

import pytest
from support.client import Client
from support.letters import deliver

ME = "/v1/accounts/me"
LIST = f"{ME}/messages?folder=inbox"


def test_json_is_compressed_for_those_who_take_it(session, mailbox):
    deliver(mailbox, range(20))
    plain = session.get(LIST, expect=200)
    packed = session.get(LIST, headers={"Accept-Encoding": "gzip, deflate, br"}, expect=200)
    assert packed.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in packed.headers["Vary"]
    assert len(packed.body) < len(plain.body) / 2
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["ETag"] == plain.headers["ETag"]
    for refusal in ("gzip;q=0", "identity", "br", "gzip;q=0, *;q=0.5"):
        assert session.get(LIST, headers={"Accept-Encoding": refusal}).headers.get("Content-Encoding") is None
    assert session.get("/healthz", headers={"Accept-Encoding": "gzip"}).headers.get("Content-Encoding") is None


@pytest.mark.parametrize("path", ["/v1", "/v1/accounts", ME, f"{ME}/folders", f"{ME}/folders/inbox", LIST, "/v1/sessions/current",
                                  f"{ME}/capabilities", f"{ME}/quota", "/healthz", "/readyz", "/metrics", "/openapi.yaml",
                                  "/docs"])
def test_head_answers_as_get_without_the_body(path, session, mailbox):
    deliver(mailbox, [1])
    got, head = session.get(path, expect=200), session.head(path, expect=200)
    assert head.body == b"" and head.content_type == got.content_type
    if path not in ("/metrics", "/v1/sessions/current"):
        assert head.headers["Content-Length"] == got.headers["Content-Length"] == str(len(got.body))
    assert head.headers.get("ETag") == got.headers.get("ETag")


@pytest.mark.parametrize("method, path, allowed", [
    ("POST", f"{ME}/folders", {"GET", "HEAD", "OPTIONS"}), ("PUT", "/v1/sessions", {"POST", "OPTIONS"}),
    ("GET", "/v1/sessions", {"POST", "OPTIONS"}), ("DELETE", f"{ME}/messages", {"GET", "HEAD", "OPTIONS"}),
    ("POST", f"{ME}/messages/x", {"GET", "HEAD", "PATCH", "OPTIONS"}), ("PATCH", "/v1", {"GET", "HEAD", "OPTIONS"}),
    ("PUT", "/v1/sessions/current", {"GET", "HEAD", "DELETE", "OPTIONS"}), ("BREW", "/v1", {"GET", "HEAD", "OPTIONS"}),
    ("TRACE", "/v1", {"GET", "HEAD", "OPTIONS"}), ("GET", "/v1/accounts:verify", {"POST", "OPTIONS"})])
def test_a_wrong_method_is_405_and_the_right_ones_are_named(method, path, allowed, session):
    answer = session.request(method, path, expect=405)
    assert answer.code == "method-not-allowed"
    assert {word.strip() for word in answer.headers["Allow"].split(",")} == allowed


def test_options_names_the_methods(session):
    answer = session.options(f"{ME}/folders", expect=204)
    assert {word.strip() for word in answer.headers["Allow"].split(",")} == {"GET", "HEAD", "OPTIONS"}
    assert answer.body == b""


@pytest.mark.parametrize("path", ["/", "/v2", "/v1/", "/v1/nothing", f"{ME}/", f"{ME}/folders/", f"{ME}/messages/", "//v1", "/v1//accounts",
                                  f"{ME}/messages/x/parts", f"{ME}/messages/x/parts/1/2", "/V1", "/v1/Accounts", "/v1/accounts:x",
                                  "/.env", "/v1/../v1", "/%76%31", "/index.html", "/favicon.ico"])
def test_a_path_that_does_not_exist_is_404(path, session):
    assert session.get(path, expect=404).code == "not-found"


def test_a_request_id_is_echoed_or_made(api):
    assert api.get("/v1", headers={"X-Request-Id": "my.own_id-1"}).headers["X-Request-Id"] == "my.own_id-1"
    made = {api.get("/v1").headers["X-Request-Id"] for _ in range(5)}
    assert len(made) == 5
    for bad in ("", "a b", "x" * 65, "a\"b", "é".encode().decode("latin-1"), "<script>"):
        answer = api.get("/v1/nothing", headers={"X-Request-Id": bad}, expect=404)
        assert answer.headers["X-Request-Id"] != bad and answer.json["requestId"] == answer.headers["X-Request-Id"]
    problem = api.get("/v1/nothing", headers={"X-Request-Id": "abc"}).json
    assert problem["requestId"] == "abc"


# ---- CORS ----

ORIGIN = {"Origin": "https://mail.example.com"}
PREFLIGHT = {**ORIGIN, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization, content-type"}


def test_cors_is_off_by_default(session):
    for answer in (session.get("/v1", headers=ORIGIN), session.options(f"{ME}/messages/x", headers=PREFLIGHT)):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_cors_lets_the_configured_origins_in(start_server, mailbox):
    client = Client(start_server(cors_origins="https://other.example.com,https://mail.example.com"), mailbox=mailbox)
    answer = client.get(f"{ME}/folders", headers=ORIGIN, expect=200)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
    assert "Origin" in answer.headers["Vary"]
    exposed = answer.headers["Access-Control-Expose-Headers"].lower()
    for name in ("etag", "link", "location", "retry-after", "x-request-id", "x-mail-source", "content-range"):
        assert name in exposed, name
    preflight = client.options(f"{ME}/messages/x", headers=PREFLIGHT, expect=204)
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
    assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
    for name in ("authorization", "content-type", "if-match", "if-none-match", "range", "cache-control"):
        assert name in preflight.headers["Access-Control-Allow-Headers"].lower()
    # A preflight never carries credentials.
    Client(client.server).options(f"{ME}/folders", headers=PREFLIGHT, expect=204)
    problem = client.get(f"{ME}/nothing", headers=ORIGIN, expect=404)
    assert problem.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
    for stranger in ("https://evil.example.com", "https://mail.example.com.evil.com", "http://mail.example.com", "null",
                     "https://mail.example.com:8443", "HTTPS://MAIL.EXAMPLE.COM/"):
        answer = client.get("/v1", headers={"Origin": stranger}, expect=200)
        assert answer.headers.get("Access-Control-Allow-Origin") is None, stranger


# ---- escapes ----

def test_escapes_in_a_path_mean_what_they_say(session, mailbox):
    deliver(mailbox, [1], folder="a%b")
    deliver(mailbox, [2], folder="plus+and space")
    deliver(mailbox, [3], folder="Ärger/日本")
    for key, number in (("path:a%25b", 1), ("path%3Aa%25b", 1), ("path:plus+and%20space", 2), ("path:plus%2Band%20space", 2),
                        ("path:%C3%84rger%2F%E6%97%A5%E6%9C%AC", 3), ("path:%c3%84rger%2f%E6%97%A5%E6%9C%AC", 3)):
        folder = session.get(f"{ME}/folders/{key}", expect=200).json
        assert folder["total"] == 1
        assert session.messages(folder["id"])[0]["messageId"] == f"n.{number}@example.org"
    # In a query a plus is a blank (WHATWG's form encoding), in a path it is a plus.
    assert session.get(f"{ME}/messages?folder=path:plus%2Band+space", expect=200).json["items"]
    for key in ("path:a%2", "path:a%", "path:%zz", "path:%c3%28", "path:%ff", "path:a%00"):
        assert session.get(f"{ME}/folders/{key}", expect=(400, 404)).code in ("invalid-request", "not-found")
    assert session.get(f"{ME}/folders/%69nbox", expect=200).json["role"] == "inbox"


def test_an_account_id_may_be_escaped(session):
    ident = session.get(ME, expect=200).json["id"]
    assert session.get("/v1/accounts/" + "".join(f"%{ord(letter):02X}" for letter in ident), expect=200).json["id"] == ident
    assert session.get("/v1/accounts/%6D%65", expect=200).json["id"] == ident


# ---- requests that no client of good will sends ----

@pytest.mark.parametrize("request_, status", [
    (b"GET /v1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET /v1 HTTP/1.1\r\n\r\n", 400),
    (b"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    (b"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Length: 1e3\r\n\r\n", 400),
    (b"GET http://evil/v1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /v1 HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40000 + b"\r\n\r\n", 431),
    (b"GET /" + b"y" * 40000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414)])
def test_a_request_that_could_smuggle_is_refused(request_, status, api):
    answer = api.raw(request_.replace(b"Host: a\r\n", b"Host: a\r\nConnection: close\r\n", 1))
    assert answer.split(b"\r\n")[0].split(b" ")[1] in (b"%d" % status, b"400", b"431", b"414"), answer[:300]
    assert b"sanitizer" not in answer.lower()
    api.get("/healthz", expect=200)


@pytest.mark.parametrize("garbage", [b"\0\0\0\0\r\n\r\n", b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET /v1 HTTP/9.9\r\n\r\n",
                                     b"x" * 100_000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /v1 HTTP/1.1\r\nbad header line\r\n\r\n"])
def test_garbage_is_answered_or_cut_and_harms_nobody(garbage, api):
    with socket.create_connection((api.server.host, api.server.port), timeout=1) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while block := connection.recv(65536):
                received += block
        except (TimeoutError, ConnectionResetError):
            pass
    assert not received or received.startswith(b"HTTP/1."), received[:100]
    assert not received.startswith(b"HTTP/1.1 2")
    api.get("/healthz", expect=200)


def test_a_connection_is_kept_for_the_next_request(server, mailbox):
    kept = Client(server, mailbox=mailbox, keep=True)
    ports = set()
    for _ in range(5):
        kept.get(f"{ME}/folders", expect=200)
        kept.get("/v1/nothing", expect=404)
        ports.add(kept._kept.sock.getsockname()[1])
    assert len(ports) == 1


def test_pipelined_requests_are_answered_in_order(api):
    raw = b"".join(b"GET /v1/%d HTTP/1.1\r\nHost: a\r\nX-Request-Id: r%d\r\n%s\r\n" % (n, n, b"Connection: close\r\n" if n == 4 else b"")
                   for n in range(5))
    answer = api.raw(raw)
    assert [line for line in answer.split(b"\r\n") if line.startswith(b"X-Request-Id")] == [
        b"X-Request-Id: r%d" % n for n in range(5)]


def test_a_client_that_sends_its_headers_too_slowly_is_cut(start_server):
    server = start_server(header_timeout="1s")
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        started = time.monotonic()
        connection.sendall(b"GET /v1 HTTP/1.1\r\nHost: a\r\n")
        try:
            for _ in range(40):
                connection.sendall(b"X: y\r\n")
                time.sleep(0.2)
                connection.setblocking(False)
                try:
                    if connection.recv(1000) == b"":
                        break
                    break
                except BlockingIOError:
                    connection.setblocking(True)
        except OSError:
            pass
        assert time.monotonic() - started < 5


def test_a_client_that_sends_its_body_too_slowly_is_cut(start_server):
    client = Client(start_server(body_timeout="1s"))
    started = time.monotonic()
    answer = client.raw(b"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{", 10)
    assert time.monotonic() - started < 5
    assert answer == b"" or b" 408 " in answer.split(b"\r\n")[0]


def test_what_the_service_is_and_its_limits_need_no_sign_in(api):
    told = api.get("/v1", expect=200).json
    assert told["version"] and told["limits"]
    for name in ("sessionIdleSeconds", "messageBytes", "requestTimeoutSeconds"):
        assert told["limits"][name] > 0
    assert "postern" in api.get("/openapi.yaml", expect=200).text.lower()
    assert "<html" in api.get("/docs", expect=200).text.lower()


def test_accept_that_cannot_be_met_is_406(session):
    assert session.get("/v1", headers={"Accept": "image/png"}, expect=406).code == "not-acceptable"
    for accept in ("*/*", "application/*", "application/json;q=0.1, text/html", "text/html, */*;q=0.1"):
        session.get("/v1", headers={"Accept": accept}, expect=200)
    assert json.loads(session.get("/v1", headers={"Accept": None}).body)
