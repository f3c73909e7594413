"""Folders: their names, roles, counts and ids."""

from urllib.parse import quote

import sample
from dovecot import Dovecot
from support.client import Client
from support.letters import deliver
from support.mailbox import Mailbox
from support.witness import Witness

ME = "/v1/accounts/me"
ROLES = {"INBOX": "inbox", "Sent": "sent", "Drafts": "drafts", "Trash": "trash", "Junk": "junk", "Archive": "archive"}


def folders(client, **headers):
    return {folder["path"]: folder for folder in client.get(f"{ME}/folders", headers=headers, expect=200).json["items"]}


def test_every_folder_is_listed_with_its_name_in_utf8(demo_session):
    found = folders(demo_session)
    assert {*sample.FOLDERS, "Lists", "Projets"} >= found.keys() >= {*sample.FOLDERS}
    for path, folder in found.items():
        assert folder["name"] == path.rsplit("/", 1)[-1]
        assert folder["id"].startswith("f_")
        assert folder["storage"] == "server"
    assert len({folder["id"] for folder in found.values()}) == len(found)


def test_roles_come_from_the_server(demo_session):
    found = folders(demo_session)
    assert {path: folder["role"] for path, folder in found.items() if folder["role"]} == ROLES
    assert {folder["roleSource"] for path, folder in found.items() if path in ROLES and path != "INBOX"} == {"server"}


def test_roles_come_from_names_when_the_server_knows_none(start_server, new_mailbox, tmp_path):
    plain = "\n".join(f"namespace inbox {{\n mailbox {name} {{\n special_use =\n auto = no\n }}\n}}"
                      for name in ("Sent", "Drafts", "Trash", "Junk", "Archive"))
    with Dovecot(tmp_path / "plain", {"plain@example.com": "pw plain 77"}, extra_config=plain) as server:
        box = Mailbox(server, "plain@example.com", "pw plain 77")
        for name in ("Sent Items", "Entwürfe", "Papierkorb", "Spam"):
            deliver(box, [1], folder=name)
        postern = start_server(ca_file=server.ca_file, default_imap=f"tls://localhost:{server.imaps_port}")
        found = folders(Client(postern, mailbox=box))
        assert found["Sent Items"]["role"] == "sent" and found["Sent Items"]["roleSource"] == "name"
        assert found["Spam"]["role"] == "junk"
        assert found["Entwürfe"]["role"] == "drafts"
        assert found["Papierkorb"]["role"] == "trash"


def test_the_inbox_comes_first_and_roles_before_the_rest(demo_session):
    paths = list(folders(demo_session))
    assert paths[0] == "INBOX"
    assert {*paths[:len(ROLES)]} == {*ROLES}


def test_parents_are_named_by_id(demo_session):
    found = folders(demo_session)
    assert found["Work/Invoices"]["parentId"] == found["Work"]["id"]
    assert found["Work"]["parentId"] is None
    parent = found["Projets/Été 2026"]["parentId"]
    assert parent == (found["Projets"]["id"] if "Projets" in found else None)


def test_counts_are_the_mail_servers(demo_session, demo):
    found = folders(demo_session)
    with Witness(demo) as witness:
        for path in sample.FOLDERS:
            messages, unseen, _ = witness.status(path)
            assert (found[path]["total"], found[path]["unread"]) == (messages, unseen), path


def test_counts_follow_what_others_do(session, mailbox):
    uids = deliver(mailbox, range(5))
    assert (folders(session)["INBOX"]["total"], folders(session)["INBOX"]["unread"]) == (5, 5)
    with Witness(mailbox) as witness:
        witness.store("INBOX", uids[:2], "+FLAGS", "\\Seen")
        assert (folders(session)["INBOX"]["total"], folders(session)["INBOX"]["unread"]) == (5, 3)
        session.get(f"{ME}/messages?folder=inbox", expect=200)
        witness.expunge("INBOX", uids[:1])
        assert (folders(session)["INBOX"]["total"], folders(session)["INBOX"]["unread"]) == (4, 3)
    session.patch(f"{ME}/messages/{session.messages()[0]['id']}", json={"seen": True}, expect=200)
    one = session.get(f"{ME}/folders/inbox", expect=200).json
    assert (one["total"], one["unread"]) == (4, 2)


def test_a_folder_is_found_by_id_role_and_path(demo_session):
    for path, folder in folders(demo_session).items():
        keys = [folder["id"], "path:" + quote(path, safe="")] + ([folder["role"]] if folder["role"] else [])
        for key in keys:
            assert demo_session.get(f"{ME}/folders/{key}", expect=200).json["id"] == folder["id"], key


def test_a_folder_that_does_not_exist_is_404(demo_session):
    for key in ("f_AAAAAAAAAAAAAAAA", "flagged", "path:Nowhere", "path:", "nowhere", "path:work", "path:Work%2F",
                "f_" + "x" * 300, "%F0%9F%92%A9"):
        assert demo_session.get(f"{ME}/folders/{key}", expect=404).code == "not-found", key


def test_an_unchanged_folder_list_is_304(session, mailbox):
    deliver(mailbox, [1])
    for path in (f"{ME}/folders", f"{ME}/folders/inbox"):
        first = session.get(path, expect=200)
        assert first.headers["ETag"].startswith('W/"')
        same = session.get(path, headers={"If-None-Match": first.headers["ETag"]}, expect=304)
        assert same.body == b"" and same.headers["ETag"] == first.headers["ETag"]
    deliver(mailbox, [2])
    changed = session.get(f"{ME}/folders", headers={"If-None-Match": first.headers["ETag"]}, expect=200)
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_a_new_a_renamed_and_a_deleted_folder_are_seen_at_once(session, mailbox):
    before = folders(session)
    with Witness(mailbox) as witness:
        witness.create("Neu & schön")
        assert folders(session).keys() - before.keys() == {"Neu & schön"}
        witness.rename("Neu & schön", "日本/新")
        after = folders(session)
        assert "日本/新" in after and "Neu & schön" not in after
        witness.delete("日本/新")
        assert "日本/新" not in folders(session)


def test_a_folder_that_only_holds_folders_is_not_selectable(session, mailbox):
    with Witness(mailbox) as witness:
        witness.create("Parent/Child")
    found = folders(session)
    if "Parent" in found:
        assert found["Parent"]["selectable"] is False
        answer = session.get(f"{ME}/messages", query={"folder": found["Parent"]["id"]})
        assert (answer.status, answer.json.get("items")) == (200, []) or answer.status == 422, answer
    assert found["Parent/Child"]["selectable"] is True


def test_capabilities_and_quota_answer(demo_session):
    features = demo_session.get(f"{ME}/capabilities", expect=200).json["features"]
    for name in ("folders", "folderEdit", "flags", "keywords", "partialFetch", "search", "bodySearch", "sort", "threads",
                 "move", "append", "push", "delta", "quota"):
        assert features[name]["support"] in ("native", "emulated", "none"), name
        assert features[name]["support"] != "none" or features[name]["reason"], name
    assert features["flags"]["support"] == features["keywords"]["support"] == features["quota"]["support"] == "native"
    quota = demo_session.get(f"{ME}/quota", expect=200).json["items"]
    storage = next(one for one in quota if one["resource"] == "storage")
    assert storage["limit"] == 20 << 30 and 12 << 20 < storage["used"] < 40 << 20
