"""Mail servers that estimate sizes (RFC822.SIZE of Exchange): the bytes that come decide, not what was claimed."""

import pytest
from support.client import Client
from test_attack_server import ME, Harm

BODY = b"Subject: hello\r\n\r\nThis is longer or shorter than was claimed.\r\n"


def fetch(section):
    def turn(talk, tag):
        talk.send(b"* 3 FETCH (UID 3 BODY[%s] {%d}\r\n" % (section, len(BODY)) + BODY + b")\r\n")
    return turn


def fetch_range(talk, tag):
    tail = BODY[10:]
    talk.send(b"* 3 FETCH (UID 3 BODY[]<10> {%d}\r\n" % len(tail) + tail + b")\r\n")


@pytest.fixture
def reader(server):
    turns = [(r"UID FETCH 3 .*BODY\.PEEK\[\]<10\.", fetch_range), (r"UID FETCH 3 .*BODY\.PEEK\[\]", fetch(b"")),
             (r"UID FETCH 3 .*BODY\.PEEK\[1\]", fetch(b"1"))]
    with Harm(turns) as harm:
        client = Client(server)
        answer = client.post("/v1/sessions", json=harm.target(), expect=201)
        server.tokens.append(answer.json["token"])
        signed_in = Client(server, token=answer.json["token"])
        yield signed_in
        signed_in.sign_out()


def newest(reader):
    return reader.get(f"{ME}/messages?limit=1", expect=200).json["items"][0]["id"]


def test_a_message_is_as_long_as_its_bytes(reader):
    answer = reader.get(f"{ME}/messages/{newest(reader)}/raw", expect=200)
    assert answer.body == BODY and answer.headers["Content-Length"] == str(len(BODY))


def test_a_plain_part_is_as_long_as_its_bytes(reader):
    answer = reader.get(f"{ME}/messages/{newest(reader)}/parts/1", expect=200)
    assert answer.body == BODY and answer.headers["Content-Length"] == str(len(BODY))


def test_a_range_that_is_shorter_than_claimed_says_so(reader):
    answer = reader.get(f"{ME}/messages/{newest(reader)}/raw", headers={"Range": "bytes=10-90"}, expect=206)
    assert answer.body == BODY[10:]
    assert answer.headers["Content-Range"] == f"bytes 10-{len(BODY) - 1}/*"
