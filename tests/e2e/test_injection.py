"""No byte of a client becomes protocol: every string field of the API, by openapi.yaml, with hostile values, before a mail
server that takes nothing but the commands it expects.

The fields are derived from openapi.yaml, so that one that is added is tried by itself. That the reader of commands would
see an injection is shown by feeding it some (`an_injection_would_be_seen`).
"""

import json
import re
from urllib.parse import quote_from_bytes

import pytest
import yaml
from conftest import TOP
from support.client import Client
from support.raw_http import ask, basic
from support.strict_imap import Forbidden, StrictServer, read_command

DOCUMENT = yaml.safe_load((TOP / "openapi.yaml").read_text())
MARK = b"pwned"
CREATE = b"a1 CREATE pwned"
VALUES = [
    b"x\r\n" + CREATE + b"\r\n", b"\r\n" + CREATE, b"\n" + CREATE + b"\n", b"\r" + CREATE + b"\r", b"pwned\r\nA LOGOUT",
    b"pwned\0", b"pwned\0\r\n" + CREATE, b'pwned"', b'"pwned', b'pwned" "x', b'pwned"\r\n' + CREATE, b"pwned\\", b'pwned\\"',
    b'pwned\\" "x', b"pwned\\\\\"", b"pwned{5}", b"{5}pwned", b"pwned {5+}", b"{5+}\r\npwned", b"pwned~{5+}", b"pwned%",
    b"pwned*", b"pwned(", b"pwned)", b"pwned) (UID FLAGS", b"pwned]", b"pwned] BODY[", b"pwned<0.1>", b"pwned NIL", b"\\pwned",
    b"+pwned", b"*pwned", b"pwned\t", b" pwned ", b"pwned\x01\x01", b"pwned\x01host=x\x01auth=Bearer y", b"pwned\x7f", b"pwned\x1b[2J",
    b"pwned,a=x", b"pwned=2C", b"pwned\xff\xfe", b"pwned\x80", b"pwned\xc0\x8d\xc0\x8a" + CREATE, b"pwned\xed\xa0\x80",
    "pwned \u00e9\u65e5\u672c \U0001f600".encode(), "pwned\u010d\u010a".encode() + CREATE, "pwned\u2028\u2029".encode(),
    "pwned\u0085".encode(), "pwned\uff02\uff3c".encode(), "pwned\ufeff\u202e".encode(), b"pwned&", b"&-pwned", b"pwned&AA0ACg-" + CREATE,
    b"pwned&AAA-", b"pwned&ACI-", b"pwned" + b"x" * 1500, b'pwned"' * 300, b"pwned\\" * 300, "pwned\u00e9".encode() * 300,
    b"pwned%0d%0aa1 CREATE", b"pwned/../..", b"pwned,inbox", b"path:pwned", b"f_pwned", b"m_pwned", b"-1 pwned", b"1:* pwned"]
# Names a mail server has for its folders; what they are in UTF-8 is asked for by `path:`.
FOLDERS = [b"INBOX", b'pwned"', b"pwned\\", b'pwned\\" "x', b"pwned{5}", b"{5}pwned", b"pwned {5+}", b"pwned%", b"pwned*", b"pwned(", b"pwned)",
           b"pwned]", b"pwned NIL", b"\\pwned", b" pwned ", b"pwned\xff\xfe", b"pwned\x80", "pwned \u00e9".encode(), b"pwned &AOkA6Q-",
           b"pwned&", b"&-pwned", b"pwned&AA0ACg-" + CREATE, b"pwned&AAA-", b"pwned&ACI-", b"pwned\x01\x7f",
           b"pwned\r\n" + CREATE, b"pwned\0", b"pwned" + b"x" * 1500, b"pwned,inbox"]

BARE = b"IMAP4rev1"
RICH = (b"IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL+ ID NAMESPACE SPECIAL-USE LIST-EXTENDED LIST-STATUS UIDPLUS UNSELECT QUOTA ESEARCH "
        b"BINARY IDLE CHILDREN")
SIGN_INS = {
    "LOGIN": BARE, "LOGIN, LITERAL+": BARE + b" LITERAL+", "LOGIN, LITERAL-": BARE + b" LITERAL-", "PLAIN": BARE + b" AUTH=PLAIN",
    "PLAIN at once": RICH, "OAUTHBEARER": BARE + b" AUTH=OAUTHBEARER", "OAUTHBEARER at once": BARE + b" SASL-IR AUTH=OAUTHBEARER",
    "XOAUTH2": BARE + b" AUTH=XOAUTH2", "XOAUTH2 at once": BARE + b" SASL-IR AUTH=XOAUTH2"}


# ---- the fields, by openapi.yaml ----
def resolve(thing):
    while "$ref" in thing:
        found = DOCUMENT
        for name in thing["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        thing = found
    return thing


def is_text(schema):
    kinds = schema.get("type", "string")
    return "string" in ([kinds] if isinstance(kinds, str) else kinds)


def members(schema):
    """(path of names, schema) of each leaf of a body; a * is any name."""
    schema = resolve(schema)
    for name, inner in schema.get("properties", {}).items():
        inner = resolve(inner)
        if inner.get("properties") or isinstance(inner.get("additionalProperties"), dict):
            for path, leaf in members(inner):
                yield (name, *path), leaf
        else:
            yield (name,), inner
    if isinstance(schema.get("additionalProperties"), dict):
        yield ("*",), schema["additionalProperties"]


def operations():
    for template, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            if method in ("get", "post", "patch", "put", "delete"):
                yield method.upper(), template, operation, item


def fields():
    """(operation id, method, template, where, name): parameters, body members, and how one signs in. Those that are
    numbers or one of few words too: they are text until somebody has judged them."""
    found = []
    for method, template, operation, item in operations():
        name = operation["operationId"]
        for parameter in map(resolve, [*item.get("parameters", []), *operation.get("parameters", [])]):
            found.append((name, method, template, parameter["in"], parameter["name"]))
        body = resolve(operation.get("requestBody", {})).get("content", {}).get("application/json")
        if body:
            found += [(name, method, template, "body", path) for path, _ in members(body["schema"])]
            found.append((name, method, template, "body", ("*",)))
        found.append((name, method, template, "query", "pwned"))
        # What every operation takes alike, by the same code, is tried where mail is asked for.
        if name in ("messages.list", "messages.update"):
            found += [(name, method, template, "header", one) for one in ("X-Request-Id", "Accept", "Origin", "Content-Type")]
            found += [(name, method, template, "scheme", one) for one in ("token", "user", "password")]
    return sorted(set(found), key=str)


FIELDS = fields()
CREDENTIALS = [field for field in FIELDS if field[0] == "sessions.create" and
               field[4] in (("username",), ("password",), ("accessToken",))]


def label(field):
    return f"{field[0]} {field[3]} {field[4] if isinstance(field[4], str) else '.'.join(field[4])}"


# ---- one request with a hostile value in one place ----
class Asker:
    """A postern in front of a StrictServer, and a session there."""

    def __init__(self, start_server, offers):
        self.mail = StrictServer(offers, FOLDERS)
        self.server = start_server(allowed_hosts="127.0.0.1", default_imap=f"none://127.0.0.1:{self.mail.port}", host_down="0s",
                                   sessions_max=100000, session_idle="10s")
        self.by_token = "accessToken" if b"AUTH=OAUTHBEARER" in offers or b"AUTH=XOAUTH2" in offers else "password"
        self.token, self.message = None, None
        self.sign_in()

    def sign_in(self):
        client = Client(self.server)
        answer = client.post("/v1/sessions", json=self.target(), expect=201)
        self.token = client.token = answer.json["token"]
        self.server.tokens.append(self.token)
        answer = client.get("/v1/accounts/me/messages?folder=inbox")
        self.judge()
        items = answer.json["items"]
        self.message = items[0]["id"]

    def target(self):
        return {"protocol": "imap", "host": "127.0.0.1", "port": self.mail.port, "security": "none", "username": "user",
                self.by_token: "a password"}

    def body(self, name):
        return {"messages.update": {"seen": True}}.get(name) or self.target()

    def ask(self, field, value):
        name, method, template, where, what = field
        path = {"account": b"me", "folder": b"inbox", "message": self.message.encode(), "part": b"1"}
        query, headers, body, authorization = b"", [], b"", b"Bearer " + self.token.encode()
        operation = DOCUMENT["paths"][template][method.lower()]
        if operation.get("requestBody"):
            body = json.dumps(self.body(name)).encode()
            headers.append(("Content-Type", "application/json"))
        if where == "path":
            path[what] = quote_from_bytes(value, safe="").encode()
        elif where == "query":
            query = b"?" + what.encode() + b"=" + quote_from_bytes(value, safe="").encode()
        elif where == "header":
            headers = [pair for pair in headers if pair[0] != what] + [(what, value)]
        elif where == "body":
            body = self.body_with(name, what, value)
        elif what == "token":
            authorization = b"Bearer " + value
        else:
            authorization = basic(value, b"a password") if what == "user" else basic(b"user", value)
        if name == "sessions.delete":
            authorization = basic(b"user", b"other")  # not the session that all others use
        target = b"".join(path[one[1:-1]] if one.startswith("{") else one.encode() for one in re.split(r"(\{\w+\})", template))
        return ask(self.server, method, target + query, authorization, headers, body)

    def body_with(self, name, path, value):
        """The body with that member's text as it is: JSON can escape what it cannot hold."""
        whole = self.body(name)
        if path[-1] in ("password", "accessToken"):
            whole.pop(self.by_token, None)
        inner = whole
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
        if path[-1] == "*":
            inner["KEY"] = True
        else:
            inner[path[-1]] = "KEY"
        spelled = b"".join(b"\\u%04x" % one if one < 0x20 else b"\\" + bytes([one]) if one in b'"\\' else bytes([one]) for one in value)
        return json.dumps(whole).encode().replace(b'"KEY"', b'"' + spelled + b'"')

    def try_all(self, field):
        """The statuses; every request is answered, and the mail server saw nothing it should not."""
        seen = set()
        forms = [b""]
        if field[4] == "folder":
            forms += [b"path:"]
        for value in VALUES:
            for form in forms:
                received = self.ask(field, form + value)
                assert received, f"no answer to {value!r}"
                if received.startswith(b"HTTP/1.1 "):
                    status = int(received[9:12])
                    assert status != 500, received[:2000]
                    seen.add(status)
                    self.end_session_of(received)
                self.judge(value)
        return seen

    def end_session_of(self, received):
        found = re.search(rb'"token":"(ps_[\w-]+)"', received)
        if found:
            self.server.tokens.append(found[1].decode())
            ask(self.server, "DELETE", "/v1/sessions/current", b"Bearer " + found[1])

    def judge(self, value=b""):
        with self.mail.lock:
            commands, said = list(self.mail.commands), list(self.mail.said)
            self.mail.commands.clear()
            violations = list(self.mail.violations)
            self.mail.violations.clear()
        assert not violations, f"{value!r} made: {violations}"
        for command in commands:
            if MARK in command.shape:  # a keyword; that it is one atom was read already
                assert command.shape.startswith(b"UID STORE "), command.shape
        for mechanism, words in said:
            if mechanism == b"PLAIN":
                assert words.count(b"\0") == 2, words
        return commands


@pytest.fixture(scope="module")
def start(make_server):
    started = []

    def start_one(**settings):
        one = make_server(**settings)
        one.start()
        started.append(one)
        return one
    yield start_one
    for one in started:
        one.stop_and_check()


@pytest.fixture(scope="module", params=["bare", "rich"])
def asker(request, start):
    made = Asker(start, BARE if request.param == "bare" else RICH)
    yield made
    made.mail.recorder.close()


def test_every_kind_of_field_is_found():
    assert len({field[0] for field in FIELDS}) == len([one for one in operations()])
    assert {field[3] for field in FIELDS} == {"path", "query", "header", "body", "scheme"}
    names = {label(field) for field in FIELDS}
    assert {"messages.update body keywords.*", "sessions.create body username", "messages.list query folder", "folders.get path folder",
            "messages.raw header Range", "messages.update header If-Match", "messages.list scheme user"} <= names


@pytest.mark.parametrize("field", FIELDS, ids=label)
def test_a_hostile_value_is_no_protocol(asker, field):
    assert asker.try_all(field)


def test_folders_of_hostile_names_are_asked_for_by_string(asker):
    """They do arrive, each whole; else the test above shows nothing."""
    client = Client(asker.server, token=asker.token)
    asker.judge()
    folders = client.get("/v1/accounts/me/folders", expect=200).json["items"]
    for folder in folders:
        client.get("/v1/accounts/me/messages", query={"folder": folder["id"]}, expect=(200, 502, 503, 410, 404))
    selected = {text for command in asker.judge() if command.shape.startswith(b"SELECT") for text in command.strings}
    assert selected <= set(FOLDERS)
    assert {b'pwned\\" "x', b"pwned {5+}", b"pwned\\", b"pwned)", b"&-pwned"} <= selected


def test_keywords_arrive_as_one_atom_or_not_at_all(asker):
    field = ("messages.update", "PATCH", "/v1/accounts/{account}/messages/{message}", "body", ("keywords", "*"))
    arrived = set()
    asker.judge()
    for value in [b"$pwned", *VALUES]:
        asker.ask(field, value)
        for command in asker.judge(value):
            if command.shape.startswith(b"UID STORE"):
                assert re.search(rb"\((.*)\)", command.shape)[1] == b"\\Seen " + value
                arrived.add(value)
    assert b"$pwned" in arrived


@pytest.mark.parametrize("kind", SIGN_INS)
def test_credentials_arrive_as_they_are_or_not_at_all(start, kind):
    asker = Asker(start, SIGN_INS[kind])
    asker.judge()
    asker.mail.said.clear()
    arrived = 0
    for field in CREDENTIALS:
        for value in VALUES:
            received = asker.ask(field, value)
            asker.end_session_of(received)
            sent = [text for command in asker.judge(value) if command.shape.startswith(b"LOGIN") for text in command.strings]
            sent += [word for _, words in asker.mail.said for word in re.split(rb"[\0]", words)]
            asker.mail.said.clear()
            if field[4][-1] in ("username", "password") and "PLAIN" in kind or kind.startswith("LOGIN"):
                assert set(sent) <= {b"", b"user", b"a password", value}
                arrived += value in sent
            if not kind.startswith(("LOGIN", "PLAIN")):
                arrived += any(value in words for words in sent)
    asker.mail.recorder.close()
    assert arrived > 20, "hardly anything came through: the test shows nothing"


class Script:
    """A Talk of bytes."""

    def __init__(self, data):
        self.data, self.sent = data, b""

    def send(self, data):
        self.sent += data

    def read_raw_line(self):
        line, end, self.data = self.data.partition(b"\n")
        if not end:
            raise Forbidden("the end")
        return line + end

    def read_bytes(self, count):
        data, self.data = self.data[:count], self.data[count:]
        return data


@pytest.mark.parametrize("sent", [
    b'a1 LOGIN "x\r\na1 CREATE pwned\r\n" "y"\r\n', b'a1 LOGIN "pwned"" "y"\r\n', b'a1 LOGIN "pwned\\" "y"\r\n', b"a1 LOGIN pwned y\r\n",
    b'a1 SELECT "pwned" "x"\r\n', b'a1 LOGIN "pwn\xe9d" "y"\r\n', b"a1 CREATE pwned\r\n", b"a1 NOOP\n", b'a1 SELECT "a\0b"\r\n',
    b"a1 SELECT {5}\r\npwned CREATE x\r\n", b"a1 SELECT {4}\r\npw\0d\r\n", b"a1 UID STORE 1 +FLAGS (pwned))\r\n",
    b"a1 UID STORE 1 +FLAGS (pwned{5})\r\n", b"a1 UID FETCH 1 (BODY.PEEK[1] pwned)\r\n", b"a1 UID FETCH 1 (BODY.PEEK[1]] x)\r\n",
    b"a1 NOOP pwned\r\n", b"x NOOP\r\n", b"a1  NOOP\r\n"])
def test_an_injection_would_be_seen(sent):
    with pytest.raises(Forbidden):
        talk = Script(sent)
        while talk.data:
            read_command(talk)


@pytest.mark.parametrize("sent, strings", [
    (b'a1 LOGIN "a\\"b\\\\" ""\r\n', [b'a"b\\', b""]), (b"a1 SELECT {3}\r\na\xe9b\r\n", [b"a\xe9b"]),
    (b'a1 LOGIN {2+}\r\nab {0+}\r\n\r\n', [b"ab", b""]), (b"a1 UID STORE 1 +FLAGS (\\Seen $x)\r\n", []),
    (b"a1 UID FETCH 1:3,7 (UID BODY.PEEK[1.2.MIME]<0.100>)\r\n", [])])
def test_an_honest_command_is_read(sent, strings):
    assert read_command(Script(sent)).strings == strings
