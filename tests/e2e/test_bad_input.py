"""What is wrong with a request is said at the member it is wrong with, and nothing of it reaches a mail server."""

import base64
import json

import pytest
from support.client import Client
from support.letters import deliver
from support.recorder import Recorder

ME = "/v1/accounts/me"
JSON = {"Content-Type": "application/json"}
SESSION_PATHS = ("/v1/sessions", "/v1/accounts:verify")


@pytest.fixture(scope="module")
def recorder():
    with Recorder() as one:
        yield one


@pytest.fixture
def target(recorder):
    """A sign-in that would go to the recorder, if it went anywhere."""
    return {"protocol": "imap", "host": "127.0.0.1", "port": recorder.port, "security": "none",
            "username": "somebody@example.com", "password": "open sesame 5"}


@pytest.fixture(autouse=True)
def nothing_reaches_the_mail_server(recorder):
    before = recorder.connections
    yield
    assert recorder.connections == before
    assert recorder.received == b""


def refused(client, method, path, pointer, **request):
    problem = client.problem(method, path, 400, "invalid-request", **request)
    assert "sesame" not in json.dumps(problem)
    if pointer is not None:
        assert problem["errors"][0]["pointer"] == pointer, problem
    return problem


@pytest.mark.parametrize("path", SESSION_PATHS)
@pytest.mark.parametrize("body", [
    b"", b" ", b"{", b"[", b"nul", b"[]", b"1", b"null", b'"x"', b'{"host"}', b'{"host":}', b"{'host':'x'}", b'{"host":"x",}',
    b'{"host":"x"} {"host":"x"}', b'{"host":"x"}trailing', b"\x00", b'{"host":"\xc3\x28"}', b'{"\xed\xa0\x80":1}', b'\xef\xbb\xbf[',
    b'{"host":"\\u0000"}', b'{"host":"a\\u0000b"}', b'{"h\\u0000":1}', b'{"host":"\\ud800"}', b'{"port":1e999}',
    b'{"port":99999999999999999999999}', b'{"host":"a","host":"b"}', b"[" * 5000, b'{"a":' * 3000])
def test_a_body_that_is_no_object_of_json_is_refused(body, path, api):
    pointer = "/host" if body.count(b'"host":') == 2 and b"}" not in body[:-1] else ""
    refused(api, "POST", path, pointer, body=body, headers=JSON)


@pytest.mark.parametrize("member, value", [
    ("host", None), ("host", ""), ("host", 5), ("host", ["a"]), ("host", "a" * 300), ("host", "bad host"), ("host", "a\r\nb"),
    ("host", "a\nb"), ("host", "localhost\0"), ("host", "-a.example"), ("host", "a..b"), ("host", "http://x"), ("host", "a/b"),
    ("host", "user@host"), ("host", "ex\u00e4mple.com"), ("host", "localhost:143"),
    ("port", 0), ("port", 65536), ("port", -1), ("port", "143"), ("port", 1.5), ("port", True), ("port", None), ("port", 10 ** 18),
    ("protocol", "smtp"), ("protocol", "IMAP"), ("protocol", ""), ("protocol", 1), ("protocol", None),
    ("security", "ssl"), ("security", ""), ("security", False), ("security", "TLS"),
    ("username", ""), ("username", 1), ("username", "a\r\nb LOGOUT"), ("username", "a\nb"), ("username", "a\rb"),
    ("username", "a\0b"), ("username", "u" * 5000), ("username", None),
    ("password", "a\r\nb LOGOUT"), ("password", "a\nb"), ("password", "a\0b"), ("password", "p" * 20000), ("password", 1),
    ("password", ""), ("password", {}), ("name", "x"), ("passwort", "x"), ("Host", "x"), ("", 1), ("accessToken", "both")])
def test_a_wrong_member_is_pointed_at(member, value, api, target):
    for path in SESSION_PATHS:
        # A NUL is found while the text is read, before anybody knows whose it is.
        pointer = "" if isinstance(value, str) and "\0" in value else f"/{member}"
        refused(api, "POST", path, pointer, json={**target, member: value})


@pytest.mark.parametrize("member", ["host", "username", "protocol"])
def test_a_missing_member_is_pointed_at(member, api, target):
    del target[member]
    refused(api, "POST", "/v1/sessions", f"/{member}", json=target)


def test_without_password_and_token_there_is_no_sign_in(api, target):
    del target["password"]
    refused(api, "POST", "/v1/sessions", "/password", json=target)


@pytest.mark.parametrize("token", ["", "a\r\nb", "a\nb", "t" * 20000, 7])
def test_a_wrong_access_token_is_pointed_at(token, api, target):
    del target["password"]
    refused(api, "POST", "/v1/sessions", "/accessToken", json={**target, "accessToken": token})


def test_adding_an_account_is_as_careful(session, target):
    for member, value in (("username", "a\r\nb"), ("password", "a\r\nb"), ("host", "a b"), ("extra", 1)):
        refused(session, "POST", "/v1/sessions/current/accounts", f"/{member}", json={**target, member: value})


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "", None,
                                  "application/jsonx"])
def test_a_body_of_another_type_is_415(kind, api, target):
    api.problem("POST", "/v1/sessions", 415, "unsupported-media-type", body=json.dumps(target).encode(),
                headers={"Content-Type": kind})


def test_a_body_over_64_kib_is_413(api, session, target, mailbox):
    big = json.dumps({**target, "x": "y" * (64 << 10)}).encode()
    for path in SESSION_PATHS:
        api.problem("POST", path, 413, "too-large", body=big, headers=JSON)
    session.problem("POST", "/v1/sessions/current/accounts", 413, "too-large", body=big, headers=JSON)
    deliver(mailbox, [1])
    path = f"{ME}/messages/{session.messages()[0]['id']}"
    session.problem("PATCH", path, 413, "too-large", body=big, headers=JSON)
    assert session.get(path, expect=200).json["seen"] is False


def test_a_huge_body_is_refused_before_it_is_sent(api):
    head = b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10000000000\r\n" \
           b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
    answer = api.raw(head)
    assert answer.startswith(b"HTTP/1.1 413 ") and b"too-large" in answer and b"100 Continue" not in answer


def test_a_chunked_body_over_64_kib_is_413(api):
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    answer = api.raw(b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunk * 6 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]


@pytest.mark.parametrize("path", [
    "/v1", "/v1/sessions/current", "/v1/accounts", ME, f"{ME}/folders", f"{ME}/folders/inbox", f"{ME}/capabilities", f"{ME}/quota",
    f"{ME}/messages?folder=inbox", f"{ME}/messages/x", f"{ME}/messages/x/raw", f"{ME}/messages/x/text",
    f"{ME}/messages/x/headers", f"{ME}/messages/x/parts/1", "/healthz"])
def test_an_unknown_query_parameter_is_refused(path, session):
    for name, pointer in (("nonsense", "nonsense"), ("Folder", "Folder"), ("fr%C3%B6hlich", "fröhlich"), ("limit%00", None)):
        refused(session, "GET", path + ("&" if "?" in path else "?") + name + "=1", pointer)


@pytest.mark.parametrize("query, pointer", [
    ("limit=5&limit=6", "limit"), ("folder=inbox&folder=sent", "folder"), ("limit", "limit"), ("total=maybe", "total"),
    ("total=", "total"), ("sort=up", "sort"), ("cursor=", "cursor"), ("folder=", "folder"), ("fields=%ff", "fields"),
    ("folder=%zz", "folder"), ("folder=path:a%00b", "folder"), ("folder=path:%c3%28", "folder"), ("from=ada", "from"),
    ("q=x", "q"), ("seen=true", "seen"), ("unread=1", "unread"), ("limit=%35%30%31", "limit"),
    ("folder=" + "a" * 5000, "folder")])
def test_a_wrong_query_is_pointed_at(query, pointer, session):
    path = f"{ME}/messages?{query}" + ("" if "folder=" in query else "&folder=inbox")
    refused(session, "GET", path, pointer)


@pytest.mark.parametrize("query, pointer", [("as=pdf", "as"), ("maxBytes=0", "maxBytes"), ("maxBytes=x", "maxBytes"),
                                            ("maxBytes=99999999999", "maxBytes"), ("maxBytes=-1", "maxBytes")])
def test_a_wrong_query_of_text_is_pointed_at(query, pointer, session, mailbox):
    deliver(mailbox, [1])
    refused(session, "GET", f"{ME}/messages/{session.messages()[0]['id']}/text?{query}", pointer)


@pytest.mark.parametrize("folder", ["path:a%0D%0Ab", "path:x%0Ay", "path:x%0Dy", "path:%00", "path:a%22%20(x", "path:*", "path:%25",
                                    "path:" + "x" * 3000, "path:&Jjo-", "path:../../etc", "path:/", "path:a//b"])
def test_a_folder_path_never_becomes_a_command(folder, session, mailbox):
    deliver(mailbox, [1])
    folders = session.get(f"{ME}/folders", expect=200).json
    for path in (f"{ME}/messages?folder={folder}", f"{ME}/folders/{folder.replace('/', '%2F')}"):
        answer = session.get(path)
        assert answer.status in (400, 404), answer
    assert session.get(f"{ME}/folders", expect=200).json == folders


def test_basic_credentials_with_line_breaks_are_refused(start_server, recorder, mailbox):
    client = Client(start_server(default_imap=f"none://127.0.0.1:{recorder.port}"))
    for user, password in (("a\r\nb", "x"), ("a", "x\r\ny LOGOUT"), ("a\0", "x"), ("", "x"), ("a", ""), ("\r\n", "\r\n")):
        value = base64.b64encode(f"{user}:{password}".encode()).decode()
        answer = client.get(f"{ME}/folders", headers={"Authorization": "Basic " + value})
        assert answer.status in (400, 401), answer
    answer = client.get(f"{ME}/folders", headers={"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode()})
    assert answer.status in (400, 401)


def test_a_problem_never_repeats_what_was_wrong_in_full(api, target):
    problem = api.problem("POST", "/v1/sessions", 400, "invalid-request", json={**target, "x" * 2000: 1})
    assert len(json.dumps(problem)) < 1500
