"""No answer is older than its request, unless the client allows it; and what it says of its own age is true."""

import re
import time

import pytest
from dovecot import Dovecot
from support.client import Client
from support.letters import deliver, numbers
from support.mailbox import Mailbox
from support.witness import Witness

ME = "/v1/accounts/me"
LIST = f"{ME}/messages?folder=inbox"


@pytest.fixture
def witness(mailbox):
    with Witness(mailbox) as one:
        yield one


def test_what_another_client_does_is_in_the_very_next_list(session, mailbox, witness):
    uids = []
    for number in range(12):
        uids += deliver(mailbox, [number])
        assert numbers(session.messages()) == list(reversed(range(number + 1)))
    for number in range(0, 12, 2):
        witness.store("INBOX", uids[number], "+FLAGS", "\\Seen", f"k{number}")
        item = session.messages()[11 - number]
        assert item["seen"] is True and item["keywords"] == [f"k{number}"]
    for number in range(12):
        witness.expunge("INBOX", uids[number])
        assert numbers(session.messages()) == list(reversed(range(number + 1, 12)))


def test_a_message_read_by_its_id_is_fresh_too(session, mailbox, witness):
    uid = deliver(mailbox, [1])[0]
    path = f"{ME}/messages/{session.messages()[0]['id']}?fields=seen,flagged"
    for how, value in (("+FLAGS", True), ("-FLAGS", False), ("+FLAGS", True)):
        witness.store("INBOX", uid, how, "\\Seen")
        assert session.get(path, expect=200).json == {"seen": value, "flagged": False}


def test_other_folders_are_fresh_when_a_connection_has_one_selected(session, mailbox, witness):
    for number in range(6):
        folder = ("INBOX", "Archive", "Sent")[number % 3]
        deliver(mailbox, [number], folder=folder)
        assert numbers(session.messages("path:" + folder))[0] == number


def test_an_answer_tells_its_source_and_age(session, mailbox):
    deliver(mailbox, [1])
    live = session.get(LIST, expect=200)
    assert live.headers["X-Mail-Source"] == "live" and live.headers["Age"] == "0"
    mirrored = session.get(LIST, headers={"Cache-Control": "max-stale=60"}, expect=200)
    assert mirrored.headers["X-Mail-Source"] == "mirror" and 0 <= int(mirrored.headers["Age"]) <= 5
    assert mirrored.json == live.json
    timing = dict(re.findall(r"(\w+);dur=([\d.]+)", live.headers["Server-Timing"]))
    assert timing.keys() >= {"queue", "connect", "upstream", "mirror", "total"}
    assert 0 < float(timing["total"]) < 30_000
    assert all(float(value) <= float(timing["total"]) + 1 for value in timing.values())
    for path in (f"{ME}/folders", f"{ME}/folders/inbox"):
        assert session.get(path, expect=200).headers["X-Mail-Source"] == "live"
        assert session.get(path, headers={"Cache-Control": "max-stale=60"}, expect=200).headers["X-Mail-Source"] == "mirror"


def test_max_stale_shows_the_mirror_only_up_to_that_age(session, mailbox):
    deliver(mailbox, [1])
    session.get(LIST, expect=200)
    deliver(mailbox, [2])
    assert numbers(session.get(LIST, headers={"Cache-Control": "max-stale=60"}, expect=200).json["items"]) == [1]
    time.sleep(2.1)
    assert numbers(session.get(LIST, headers={"Cache-Control": "max-stale=1"}, expect=200).json["items"]) == [2, 1]


def test_only_if_cached_asks_nobody(session, mailbox):
    deliver(mailbox, [1])
    answer = session.get(LIST, headers={"Cache-Control": "only-if-cached"}, expect=504)
    assert answer.code == "not-cached"
    session.get(LIST, expect=200)
    deliver(mailbox, [2])
    answer = session.get(LIST, headers={"Cache-Control": "only-if-cached"}, expect=200)
    assert numbers(answer.json["items"]) == [1] and answer.headers["X-Mail-Source"] == "mirror"
    ident = answer.json["items"][0]["id"]
    assert session.get(f"{ME}/messages/{ident}/raw", headers={"Cache-Control": "only-if-cached"}, expect=504).code == "not-cached"


@pytest.mark.parametrize("header", ["max-stale=-5", "max-stale=x", "max-stale=", "no-cache", "nonsense", "max-age=0", ",,;",
                                    'max-stale="'])
def test_a_cache_control_that_allows_nothing_is_answered_live(header, session, mailbox):
    deliver(mailbox, [1])
    session.get(LIST, expect=200)
    deliver(mailbox, [2])
    assert numbers(session.get(LIST, headers={"Cache-Control": header}, expect=200).json["items"]) == [2, 1]


@pytest.fixture
def mortal(tmp_path, start_server):
    """(client, mailbox, its own Dovecot), with two messages listed, on a postern of its own."""
    with Dovecot(tmp_path / "mortal", {"mortal@example.com": "mortal pass 33"}) as own:
        box = Mailbox(own, "mortal@example.com", "mortal pass 33")
        deliver(box, [1, 2])
        server = start_server(ca_file=own.ca_file, default_imap="", host_down="1s", connect_timeout="5s")
        server.secrets = lambda: [box.user, box.password]
        client = Client(server).sign_in(box)
        client.get(LIST, expect=200)
        client.get(f"{ME}/folders", expect=200)
        yield client, box, own


def test_without_the_mail_server_the_mirror_answers_those_who_allow_it(mortal):
    client, _, own = mortal
    known = client.get(LIST, expect=200)
    own.stop()
    allowed = client.get(LIST, headers={"Cache-Control": "max-stale"}, expect=200)
    assert allowed.json == known.json and allowed.headers["X-Mail-Source"] == "mirror"
    excused = client.get(LIST, headers={"Cache-Control": "stale-if-error=600"}, expect=200)
    assert excused.json == known.json and excused.headers["X-Mail-Source"] == "stale"
    assert int(excused.headers["Age"]) >= 0
    folders = client.get(f"{ME}/folders", headers={"Cache-Control": "stale-if-error"}, expect=200)
    assert folders.headers["X-Mail-Source"] == "stale"
    for _ in range(3):
        started = time.monotonic()
        plain = client.get(LIST, expect=502)
        assert plain.code == "upstream-unreachable" and plain.json["retryable"] is True
        assert time.monotonic() - started < 3
    assert client.get(ME, expect=200).json["state"] == "unreachable"
    one = known.json["items"][0]["id"]
    listed = client.get(f"{ME}/messages/{one}?fields=@list", headers={"Cache-Control": "max-stale"}, expect=200)
    assert listed.json["id"] == one
    assert client.get(f"{ME}/messages/{one}/raw", expect=502).code == "upstream-unreachable"


def test_a_mail_server_that_comes_back_is_used_again(mortal):
    client, box, own = mortal
    port = own.imaps_port
    own.stop()
    client.get(LIST, expect=502)
    own._wanted_ports = {"imap": own.imap_port, "imaps": port}
    own.start()
    deadline = time.monotonic() + 10
    while client.get(LIST).status != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    deliver(box, [3])
    assert numbers(client.get(LIST, expect=200).json["items"]) == [3, 2, 1]
    assert client.get(ME, expect=200).json["state"] == "ok"


def test_a_mail_server_restarted_between_two_requests_is_not_noticed(mortal):
    client, box, own = mortal
    own._wanted_ports = {"imap": own.imap_port, "imaps": own.imaps_port}
    own.stop()
    own.start()
    deliver(box, [3])
    assert numbers(client.get(LIST, expect=200).json["items"]) == [3, 2, 1]


def test_connections_that_the_server_cut_are_replaced_without_an_error(session, mailbox):
    deliver(mailbox, [1])
    ident = session.messages()[0]["id"]
    for number in range(2, 8):
        mailbox.kick()
        deliver(mailbox, [number])
        assert numbers(session.get(LIST, expect=200).json["items"])[0] == number
        mailbox.kick()
        session.get(f"{ME}/messages/{ident}/raw", expect=200)
        mailbox.kick()
        session.get(f"{ME}/messages/{ident}/text", expect=200)
        mailbox.kick()
        session.get(f"{ME}/folders", expect=200)
