"""A folder that became another one: old ids are gone for good, and never lead to another message."""

from support.letters import deliver, numbers
from support.witness import Witness

ME = "/v1/accounts/me"


def old_ids_are_gone(client, items):
    for item in items:
        for rest in ("", "/raw", "/text", "/headers", "/parts/1"):
            answer = client.get(f"{ME}/messages/{item['id']}{rest}")
            assert (answer.status, answer.code) == (410, "gone"), answer
        assert client.patch(f"{ME}/messages/{item['id']}", json={"flagged": True}, expect=410).code == "gone"


def recreate(mailbox, folder):
    """The folder anew. Connections that have it selected would look at the deleted one for ever: Dovecot's
    mailbox lives on for them, and does not tell."""
    with Witness(mailbox) as witness:
        *_, validity = witness.status(folder)
        witness.delete(folder)
        witness.create(folder)
        assert witness.status(folder)[2] != validity
    mailbox.kick()


def set_validity(mailbox, validity):
    mailbox.dovecot.doveadm("mailbox", "update", "-u", mailbox.user, "--uid-validity", str(validity), "INBOX")
    mailbox.kick()


def test_a_folder_deleted_and_made_again_has_none_of_its_old_messages(session, mailbox):
    deliver(mailbox, range(5), folder="Again")
    old = session.messages("path:Again")
    recreate(mailbox, "Again")
    deliver(mailbox, range(10, 15), folder="Again")
    new = session.messages("path:Again")
    assert numbers(new) == [14, 13, 12, 11, 10]
    assert not {item["id"] for item in new} & {item["id"] for item in old}
    old_ids_are_gone(session, old)
    assert numbers(session.messages("path:Again")) == [14, 13, 12, 11, 10]
    for item in new:
        assert session.get(f"{ME}/messages/{item['id']}", expect=200).json["messageId"] == item["messageId"]


def test_an_old_id_asked_for_before_any_list_is_gone_too(session, mailbox):
    deliver(mailbox, range(3), folder="Again")
    old = session.messages("path:Again")
    for item in old:
        session.get(f"{ME}/messages/{item['id']}/raw", expect=200)
    recreate(mailbox, "Again")
    deliver(mailbox, range(10, 13), folder="Again")
    assert session.get(f"{ME}/messages/{old[0]['id']}/raw", expect=410).code == "gone"
    assert session.patch(f"{ME}/messages/{old[1]['id']}", json={"seen": True}, expect=410).code == "gone"
    old_ids_are_gone(session, old)
    with Witness(mailbox) as witness:
        assert [one.flags for one in witness.look("Again")] == [frozenset()] * 3


def test_a_new_uidvalidity_makes_old_ids_gone(session, mailbox):
    deliver(mailbox, range(4))
    old = session.messages()
    set_validity(mailbox, 2000000000)
    new = session.messages()
    assert numbers(new) == [3, 2, 1, 0]
    assert not {item["id"] for item in new} & {item["id"] for item in old}
    old_ids_are_gone(session, old)


def test_a_cursor_from_before_does_not_lose_its_place(session, mailbox):
    deliver(mailbox, range(6))
    cursor = session.get(f"{ME}/messages?folder=inbox&limit=2", expect=200).json["nextCursor"]
    set_validity(mailbox, 2000000002)
    answer = session.get(f"{ME}/messages", query={"folder": "inbox", "cursor": cursor})
    assert answer.status == 200 and numbers(answer.json["items"]) == [3, 2, 1, 0] or answer.code == "invalid-cursor"


def test_a_message_of_a_deleted_folder_is_gone(session, mailbox):
    deliver(mailbox, [1], folder="Short lived")
    item = session.messages("path:Short lived")[0]
    with Witness(mailbox) as witness:
        witness.delete("Short lived")
    session.get(f"{ME}/folders", expect=200)
    answer = session.get(f"{ME}/messages/{item['id']}")
    assert (answer.status, answer.code) in [(410, "gone"), (404, "not-found")], answer
    assert session.get(f"{ME}/messages", query={"folder": "path:Short lived"}, expect=404).code == "not-found"
    assert session.get(f"{ME}/messages", query={"folder": item["folderId"]}, expect=404).code == "not-found"
