"""PATCH: flags and keywords, seen at once by everybody, and refused when they should be."""

import pytest
from support.letters import deliver
from support.witness import Witness

ME = "/v1/accounts/me"
FLAGS = {"seen": "\\Seen", "flagged": "\\Flagged", "answered": "\\Answered", "draft": "\\Draft"}


@pytest.fixture
def letter(session, mailbox):
    """(path of a message of `session`, its UID)"""
    uid = deliver(mailbox, [1, 2])[0]
    return f"{ME}/messages/{session.messages()[1]['id']}", uid


@pytest.fixture
def witness(mailbox):
    with Witness(mailbox) as one:
        yield one


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_is_set_and_cleared(name, session, api, mailbox, letter, witness):
    path, uid = letter
    other = api.sign_in(mailbox)
    other.messages()
    for value in (True, False, True):
        answer = session.patch(path, json={name: value}, expect=200)
        assert answer.json[name] is value
        assert {one: answer.json[one] for one in FLAGS if one != name} == dict.fromkeys(FLAGS.keys() - {name}, False)
        assert witness.flags("INBOX", uid) == ({FLAGS[name]} if value else set())
        assert other.messages()[1][name] is value
        assert session.messages()[1][name] is value
        assert session.get(path + f"?fields={name}", expect=200).json == {name: value}
        assert other.messages()[0][name] is False


def test_many_changes_are_one(session, letter, witness):
    path, uid = letter
    answer = session.patch(path, json={"seen": True, "flagged": True, "keywords": {"$Forwarded": True, "work": True}},
                           expect=200).json
    assert answer["keywords"] == ["$Forwarded", "work"] and answer["seen"] and answer["flagged"]
    assert witness.flags("INBOX", uid) == {"\\Seen", "\\Flagged", "$Forwarded", "work"}
    answer = session.patch(path, json={"seen": False, "draft": True, "keywords": {"work": False, "home": True}},
                           expect=200).json
    assert answer["keywords"] == ["$Forwarded", "home"] and not answer["seen"] and answer["flagged"] and answer["draft"]
    assert witness.flags("INBOX", uid) == {"\\Flagged", "\\Draft", "$Forwarded", "home"}


def test_keywords_that_were_not_named_stay(session, letter, witness):
    path, uid = letter
    witness.store("INBOX", uid, "+FLAGS", "Kept", "$MDNSent", "\\Deleted")
    session.patch(path, json={"keywords": {"new": True}}, expect=200)
    session.patch(path, json={"seen": True}, expect=200)
    assert witness.flags("INBOX", uid) == {"Kept", "$MDNSent", "\\Deleted", "new", "\\Seen"}


def test_a_keyword_keeps_its_name_whatever_its_case(session, letter, witness):
    path, uid = letter
    witness.store("INBOX", uid, "+FLAGS", "$Label1")
    answer = session.patch(path, json={"keywords": {"$label1": True}}, expect=200)
    assert [word.lower() for word in answer.json["keywords"]] == ["$label1"]
    session.patch(path, json={"keywords": {"$LABEL1": False}}, expect=200)
    assert witness.flags("INBOX", uid) == set()


def test_reading_does_not_mark_as_read(session, letter, witness):
    path, uid = letter
    for rest in ("", "/text", "/headers", "/raw", "/parts/1"):
        session.get(path + rest, expect=200)
    assert witness.flags("INBOX", uid) == set()
    assert session.get(path, expect=200).json["seen"] is False


def test_a_change_that_changes_nothing_answers_as_it_is(session, letter):
    path, _ = letter
    before = session.get(path + "?fields=@list", expect=200).json
    after = session.patch(path, json={"seen": False, "keywords": {}}, expect=200).json
    assert {name: after[name] for name in after if name != "preview"} == {
        name: before[name] for name in before if name != "preview"}


def test_if_match_lets_the_unchanged_through_only(session, letter, witness):
    path, uid = letter
    etag = session.get(path, expect=200).headers["ETag"]
    changed = session.patch(path, json={"seen": True}, headers={"If-Match": etag}, expect=200)
    assert changed.headers["ETag"] != etag
    assert session.get(path, expect=200).headers["ETag"] == changed.headers["ETag"]
    session.problem("PATCH", path, 412, "precondition-failed", json={"flagged": True}, headers={"If-Match": etag})
    # Another client's change counts too, although we have not read it.
    witness.store("INBOX", uid, "+FLAGS", "\\Answered")
    session.problem("PATCH", path, 412, "precondition-failed", json={"flagged": True},
                    headers={"If-Match": changed.headers["ETag"]})
    assert witness.flags("INBOX", uid) == {"\\Seen", "\\Answered"}
    session.patch(path, json={"flagged": True}, headers={"If-Match": "*"}, expect=200)


def test_an_unchanged_message_is_304(session, letter, witness):
    path, uid = letter
    etag = session.get(path, expect=200).headers["ETag"]
    assert session.get(path, headers={"If-None-Match": etag}, expect=304).body == b""
    witness.store("INBOX", uid, "+FLAGS", "\\Seen")
    assert session.get(path, headers={"If-None-Match": etag}, expect=200).headers["ETag"] != etag


@pytest.mark.parametrize("body, pointer", [
    ({"read": True}, "/read"), ({"seen": "yes"}, "/seen"), ({"seen": 1}, "/seen"), ({"seen": None}, "/seen"),
    ({"flagged": []}, "/flagged"), ({"keywords": ["a"]}, "/keywords"), ({"keywords": "a"}, "/keywords"),
    ({"keywords": {"a": "x"}}, "/keywords/a"), ({"keywords": {"a": None}}, "/keywords/a"), ({"seen": True, "x/y": 1}, "/x~1y"),
    ({"subject": "new"}, "/subject"), ({"keywords": {"": True}}, "/keywords/"), ({"deleted": True}, "/deleted"),
    *(({"keywords": {word: True}}, None) for word in (
        "\\Seen", "\\Deleted", "a b", "a(b", "a)b", "a{3}", 'a"b', "a%b", "a*b", "a\\b", "a]b", "a\r\nx LOGOUT", "a\tb", "é",
        "a\x7fb", "a" * 65, "\u2028"))])
def test_a_wrong_change_is_refused_and_nothing_is_changed(body, pointer, session, letter, witness):
    path, uid = letter
    problem = session.problem("PATCH", path, 400, "invalid-request", json={"flagged": True, **body})
    said = problem["errors"][0]["pointer"]
    assert said == pointer if pointer else said.startswith("/keywords")
    assert witness.flags("INBOX", uid) == set()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"true", b'"seen"', b"{", b'{"seen":true', b'{"seen":tru}',
                                  b'{"seen":true}x', b'{"seen":true,"seen":false}', b"\xff\xfe", b'{"\xff":true}',
                                  b'{"keywords":{"a":true,"a":false}}', b'{"seen":true,}', b"{'seen':true}"])
def test_a_body_that_says_nothing_usable_is_refused(body, session, letter):
    path, _ = letter
    session.problem("PATCH", path, 400, "invalid-request", body=body, headers={"Content-Type": "application/json"})


def test_a_body_of_another_type_is_415(session, letter):
    path, _ = letter
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        session.problem("PATCH", path, 415, "unsupported-media-type", body=b'{"seen":true}', headers={"Content-Type": kind})
    session.patch(path, body=b'{"seen":true}', headers={"Content-Type": "application/json; charset=utf-8"}, expect=200)


def test_an_expunged_message_is_gone(session, letter, witness):
    path, uid = letter
    witness.expunge("INBOX", uid)
    assert session.patch(path, json={"seen": True}, expect=410).code == "gone"
    for rest in ("", "/raw", "/text", "/headers", "/parts/1"):
        assert session.get(path + rest, expect=410).code == "gone", rest
    assert len(session.messages()) == 1


def test_an_expunged_message_is_gone_for_content_at_once(session, letter, witness):
    """Nobody listed in between: only the mail server knows."""
    path, uid = letter
    session.get(path + "/raw", expect=200)
    witness.expunge("INBOX", uid)
    assert session.get(path + "/raw", expect=410).code == "gone"


def test_a_change_of_one_message_is_of_that_message_only(session, mailbox, witness):
    uids = deliver(mailbox, range(20))
    items = session.messages()
    session.patch(f"{ME}/messages/{items[7]['id']}", json={"flagged": True}, expect=200)
    assert [uid for uid in uids if "\\Flagged" in witness.flags("INBOX", uid)] == [uids[20 - 1 - 7]]


def test_moving_is_not_offered_yet(session, letter):
    path, _ = letter
    session.problem("PATCH", path, 422, "unsupported", json={"folderId": "archive"})


def test_at_most_64_keywords_at_a_time(session, letter):
    path, _ = letter
    session.problem("PATCH", path, 400, "invalid-request", json={"keywords": {f"k{n}": True for n in range(65)}})


def test_a_folder_that_may_not_be_changed_refuses(session, mailbox, witness):
    """Dovecot's ACL would do it; a keyword over Dovecot's length limit does it too."""
    uid = deliver(mailbox, [5])[0]
    path = f"{ME}/messages/{session.messages()[0]['id']}"
    answer = session.patch(path, json={"keywords": {"k" * 64: True}})
    assert (answer.status, answer.code) == (502, "upstream-refused") or (
        answer.status == 200 and "k" * 64 in witness.flags("INBOX", uid)), answer
