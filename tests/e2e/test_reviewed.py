"""What a review found: places of faults, where bytes came from, previews that are not there yet."""

import pytest
from support.client import Client
from support.letters import deliver
from support.recorder import Recorder

ME = "/v1/accounts/me"
INBOX = f"{ME}/messages?folder=inbox"


def place(problem):
    """The one place a problem points at."""
    assert len(problem["errors"]) == 1
    return problem["errors"][0]["pointer"]


@pytest.fixture
def letter(session, mailbox):
    """The path of a message whose preview nobody has asked for."""
    deliver(mailbox, [1])
    return f"{ME}/messages/{session.messages(fields='id')[0]['id']}"


# ---- places ----

def test_a_host_that_may_not_be_reached_is_pointed_at(api, mailbox):
    problem = api.problem("POST", "/v1/sessions", 403, "host-not-allowed", json=mailbox.target(host="10.1.2.3", port=993))
    assert place(problem) == "/host"


def test_a_port_that_nothing_allows_is_refused_without_asking_for_the_name(start_server, mailbox):
    client = Client(start_server(allowed_hosts="localhost"))
    target = mailbox.target(host="mail.example.com", port=8080)
    problem = client.problem("POST", "/v1/sessions", 403, "host-not-allowed", json=target)
    assert place(problem) == "/host"


@pytest.mark.parametrize("path, pointer", [
    ("/v1/accounts/a_nobody", "account"), (f"{ME}/folders/f_nothing", "folder"), (f"{ME}/folders/path:No%2FSuch", "folder"),
    (f"{ME}/messages?folder=path:NoSuch", "folder"), (f"{ME}/messages?folder=inbox,f_nothing", "folder"),
    (f"{ME}/messages/m_nothing", "message"), (f"{ME}/messages/m_nothing/raw", "message"),
    (f"{ME}/messages/m_nothing/parts/1", "message")])
def test_what_does_not_exist_is_pointed_at(path, pointer, session):
    assert place(session.problem("GET", path, 404, "not-found")) == pointer


def test_an_unknown_part_and_a_missing_form_are_pointed_at(session, letter):
    assert place(session.problem("GET", f"{letter}/parts/7.7", 404, "not-found")) == "part"
    assert place(session.problem("GET", f"{letter}/text?as=html", 404, "not-found")) == "as"


def test_a_range_behind_the_end_is_pointed_at(session, letter):
    answer = session.get(f"{letter}/raw", headers={"Range": "bytes=1000000-"}, expect=416)
    assert answer.code == "range-not-satisfiable" and place(answer.json) == "Range"
    assert answer.headers["Content-Range"].startswith("bytes */")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"{}", b'{"keywords":{"a":true,"a":false}}', b'{"keywords":{"a\\u0000":true}}'])
def test_a_patch_that_is_wrong_as_a_whole_points_at_all_of_it(body, session, letter):
    problem = session.problem("PATCH", letter, 400, "invalid-request", body=body, headers={"Content-Type": "application/json"})
    assert place(problem) == ""


def test_a_member_given_twice_is_pointed_at(session, letter):
    problem = session.problem("PATCH", letter, 400, "invalid-request", body=b'{"seen":true,"keywords":{"seen":true},"seen":false}',
                              headers={"Content-Type": "application/json"})
    assert place(problem) == "/seen"
    assert session.get(f"{letter}?fields=seen", expect=200).json == {"seen": False}


@pytest.mark.parametrize("member, limit", [("username", "usernameBytes"), ("password", "passwordBytes")])
def test_credentials_over_their_limit_are_pointed_at(member, limit, api, mailbox):
    most = api.get("/v1", expect=200).json["limits"][limit]
    problem = api.problem("POST", "/v1/sessions", 400, "invalid-request", json=mailbox.target(**{member: "x" * (most + 1)}))
    assert place(problem) == f"/{member}"


# ---- headers ----

def test_a_head_of_raw_asks_nobody_and_says_so(session, letter):
    live = session.get(f"{letter}/raw", expect=200)
    assert live.headers["X-Mail-Source"] == "live"
    head = session.head(f"{letter}/raw", expect=200)
    assert head.headers["X-Mail-Source"] == "mirror" and int(head.headers["Age"]) >= 0
    assert head.headers["Content-Length"] == str(len(live.body))


def test_raw_says_nosniff_once(session, letter):
    for answer in (session.get(f"{letter}/raw", expect=200), session.head(f"{letter}/raw", expect=200)):
        assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]


def test_the_link_keeps_a_folder_with_an_angle_bracket(session, mailbox):
    deliver(mailbox, range(3), folder="a>b")
    first = session.get(f"{ME}/messages?folder=path:a%3Eb&limit=2&fields=id", expect=200)
    raw = session.raw(b"GET /v1/accounts/me/messages?folder=path:a>b&limit=2&fields=id HTTP/1.1\r\nHost: x\r\n"
                      b"Authorization: Bearer " + session.token.encode() + b"\r\nConnection: close\r\n\r\n")
    links = [line for line in raw.split(b"\r\n") if line.lower().startswith(b"link:")]
    assert raw.startswith(b"HTTP/1.1 200 ") and len(links) == 1, raw[:300]
    link = links[0].split(b"<")[1].split(b">")[0].decode()
    assert "folder=path:a%3Eb" in link and "fields=id" in link
    rest = session.get(link, expect=200).json["items"]
    assert len(first.json["items"]) == 2 and len(rest) == 1 and rest[0] not in first.json["items"]


def test_a_list_that_did_not_change_still_varies_by_accept(session, mailbox):
    deliver(mailbox, [1])
    first = session.get(INBOX, expect=200)
    same = session.get(INBOX, headers={"If-None-Match": first.headers["ETag"]}, expect=304)
    for answer in (first, same):
        assert "Accept" in [one.strip() for line in answer.headers.get_all("Vary") for one in line.split(",")]


# ---- previews ----

@pytest.mark.parametrize("change", [{"seen": True}, {"keywords": {}}])
def test_a_patch_tells_the_preview_nobody_asked_for_before(change, session, letter):
    answer = session.patch(letter, json=change, expect=200)
    assert answer.json["preview"] == "Hello." and answer.headers["ETag"]
    assert session.get(f"{letter}?fields=preview", expect=200).json == {"preview": "Hello."}


def test_a_message_alone_tells_its_preview(session, letter):
    answer = session.get(f"{letter}?fields=preview", expect=200)
    assert answer.json == {"preview": "Hello."} and answer.headers["ETag"]


class Grudging:
    """An IMAP server with one message, whose text it gives only while `gives`."""

    RECORD = (b'* 1 FETCH (UID 1 FLAGS () INTERNALDATE "01-May-2026 08:00:00 +0000" RFC822.SIZE 100 '
              b'ENVELOPE (NIL "a" NIL NIL NIL NIL NIL NIL NIL "<a@example.org>") '
              b'BODYSTRUCTURE ("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "7BIT" 8 1))\r\n')

    def __init__(self, refusal):
        self.gives, self.refusal, self.flags = False, refusal, b""
        self.recorder = Recorder(self._serve)

    def _serve(self, talk):
        talk.send(b"* OK ready\r\n")
        while True:
            tag, command = talk.read_command()
            if command == b"CAPABILITY":
                talk.send(b"* CAPABILITY IMAP4rev1\r\n")
            elif command.startswith(b"LIST"):
                talk.send(b'* LIST () "/" INBOX\r\n')
            elif command.startswith(b"SELECT"):
                talk.send(b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] a\r\n* OK [UIDNEXT 2] b\r\n* OK [PERMANENTFLAGS (\\Seen)] c\r\n")
            elif b"ENVELOPE" in command:
                talk.send(self.RECORD)
            elif b"BODY" in command and not self.gives:
                talk.send(self.refusal.replace(b"TAG", tag))
                if b"BYE" in self.refusal:
                    return
                continue
            elif b"BODY" in command:
                section = command[command.index(b"["):command.index(b"]") + 1]
                talk.send(b'* 1 FETCH (UID 1 BODY' + section + b'<0> "Hello. ")\r\n')
            elif b"STORE" in command:
                self.flags = b"\\Seen"
                talk.send(b"* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n")
            elif b"FETCH" in command:
                talk.send(b"* 1 FETCH (UID 1 FLAGS (" + self.flags + b"))\r\n")
            talk.answer(tag)


@pytest.mark.parametrize("refusal", [b"TAG NO not now\r\n", b"* BYE not now\r\n"], ids=["no", "bye"])
def test_a_preview_that_could_not_be_read_is_never_taken_for_the_last_word(refusal, api):
    server = Grudging(refusal)
    try:
        answer = api.post("/v1/sessions", expect=201, json={
            "protocol": "imap", "host": "127.0.0.1", "port": server.recorder.port, "security": "none",
            "username": "grudging@example.com", "password": "grudging password " + refusal.split()[1].decode()})
        client = Client(api.server, token=answer.json["token"])
        api.server.tokens.append(client.token)
        path = f"{ME}/messages/{client.get(INBOX + '&fields=id', expect=200).json['items'][0]['id']}"
        for fields in ("preview", "id,preview"):
            poor = client.get(f"{path}?fields={fields}", expect=200)
            assert poor.json["preview"] is None and "ETag" not in poor.headers
        assert client.get(f"{path}?fields=id", expect=200).headers["ETag"]
        changed = client.patch(path, json={"seen": True}, expect=200)
        assert changed.json["preview"] is None and "ETag" not in changed.headers
        server.gives = True
        rich = client.get(f"{path}?fields=preview", expect=200)
        assert rich.json["preview"] == "Hello." and rich.headers["ETag"]
        client.sign_out()
    finally:
        server.recorder.close()
