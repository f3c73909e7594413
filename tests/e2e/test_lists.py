"""Lists: order, pages, cursors, members, validators, and big folders that are still being filled in."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
import sample
from support.client import Client
from support.letters import deliver, ident, letter, numbers, received
from support.recorder import wait_for
from support.witness import LISTED, Witness

LIST = "/v1/accounts/me/messages"
MEMBERS = {"id", "folderId", "subject", "from", "to", "cc", "bcc", "replyTo", "sender", "date", "receivedAt", "size", "seen",
           "flagged", "answered", "draft", "keywords", "hasAttachment", "preview", "messageId", "inReplyTo", "references"}


def page(client, expect=200, headers=None, **query):
    return client.get(LIST, query={"folder": "inbox", **query}, headers=headers, expect=expect)


def truth(mailbox, folder="INBOX"):
    with Witness(mailbox) as witness:
        return witness.look(folder)


def seen_in(items):
    return [{name: item[name] for name in LISTED} for item in items]


def test_a_list_is_newest_first_and_says_what_the_server_says(demo_session, demo):
    for folder in sample.FOLDERS:
        assert seen_in(demo_session.messages("path:" + folder)) == [one.as_listed() for one in truth(demo, folder)]


def test_a_list_item_has_the_members_of_list_and_no_others(demo_session):
    for item in page(demo_session).json["items"]:
        assert item.keys() == MEMBERS


def test_messages_of_one_second_stand_in_the_order_of_arrival_newest_first(session, mailbox):
    when = received(1)
    mailbox.dovecot.deliver_many(mailbox.user, "INBOX", [((), when, letter(number)) for number in range(8)])
    assert numbers(session.messages()) == list(reversed(range(8)))
    assert numbers(session.messages(limit=3)) == list(reversed(range(8)))


def test_the_order_is_by_the_time_of_arrival_not_by_uid(session, mailbox):
    mailbox.dovecot.deliver_many(mailbox.user, "INBOX", [((), received(number), letter(number))
                                                         for number in (5, 1, 9, 3, 7, 0)])
    assert numbers(session.messages(limit=2)) == [9, 7, 5, 3, 1, 0]


@pytest.mark.parametrize("limit", [1, 7, 50, 500])
def test_pages_put_together_are_the_whole_folder(limit, session, mailbox):
    deliver(mailbox, range(61))
    if limit == 1:
        deliver(mailbox, range(61, 64))
    found = session.messages(limit=limit)
    assert seen_in(found) == [one.as_listed() for one in truth(mailbox)]
    assert len({item["id"] for item in found}) == len(found)


def test_a_page_holds_fifty_when_no_limit_is_said(session, mailbox):
    deliver(mailbox, range(60))
    first = page(session).json
    assert len(first["items"]) == 50 and first["nextCursor"]
    rest = page(session, cursor=first["nextCursor"]).json
    assert len(rest["items"]) == 10 and rest["nextCursor"] is None


@pytest.mark.parametrize("limit", ["0", "501", "-1", "1.5", "1e2", "", "x", "99999999999999999999", " 5", "5 ", "+5", "0x10"])
def test_a_limit_out_of_bounds_is_refused(limit, session):
    problem = session.problem("GET", LIST, 400, "invalid-request", query={"folder": "inbox", "limit": limit})
    assert problem["errors"][0]["pointer"] == "limit"


def test_a_page_of_exactly_the_folder_has_no_next(session, mailbox):
    deliver(mailbox, range(6))
    assert page(session, limit=6).json["nextCursor"] is None
    assert page(session, limit=5).json["nextCursor"]


def test_an_empty_folder_is_an_empty_list(session):
    answer = page(session, total="exact").json
    assert (answer["items"], answer["nextCursor"], answer["total"], answer["complete"]) == ([], None, 0, True)


def test_a_total_is_exact_when_asked_for(session, mailbox):
    deliver(mailbox, range(30))
    answer = page(session, total="exact", limit=10).json
    assert (len(answer["items"]), answer["total"]) == (10, 30)
    assert page(session, total="exact", limit=10, cursor=answer["nextCursor"]).json["total"] == 30
    assert page(session, total="none").json.get("total") is None
    assert page(session).json.get("total") is None


@pytest.mark.parametrize("fields, members", [
    ("id", {"id"}), ("id,subject,from", {"id", "subject", "from"}), ("seen,keywords", {"seen", "keywords"}),
    ("@list", MEMBERS), ("@list,id", MEMBERS), ("references,inReplyTo,id", {"references", "inReplyTo", "id"}),
    ("folderId", {"folderId"}), ("preview", {"preview"}), ("size,receivedAt,size", {"size", "receivedAt"})])
def test_fields_select_members(fields, members, demo_session):
    whole = page(demo_session).json["items"]
    some = page(demo_session, fields=fields).json["items"]
    assert [item.keys() for item in some] == [members] * len(whole)
    assert some == [{name: item[name] for name in members} for item in whole]


@pytest.mark.parametrize("fields", ["nonsense", "id,", ",id", "ID", "@all", "", "id subject", "header.", "@full", "parts",
                                    "text", "html", "headers", "attachments", "header.List-Id", "id;subject"])
def test_fields_that_a_list_does_not_have_are_refused(fields, session):
    problem = session.problem("GET", LIST, 400, "invalid-request", query={"folder": "inbox", "fields": fields})
    assert problem["errors"][0]["pointer"] == "fields"


def test_an_unchanged_list_is_304_until_another_client_changes_a_flag(session, mailbox):
    uids = deliver(mailbox, range(3))
    first = page(session)
    etag = first.headers["ETag"]
    assert etag.startswith('W/"')
    again = page(session, expect=304, headers={"If-None-Match": etag})
    assert again.body == b"" and again.headers["ETag"] == etag
    page(session, expect=304, headers={"If-None-Match": f'"x", {etag}'})
    page(session, expect=304, headers={"If-None-Match": "*"})
    page(session, expect=200, headers={"If-None-Match": '"x"'})
    with Witness(mailbox) as witness:
        for how, flag in (("+FLAGS", "\\Seen"), ("+FLAGS", "$Label1"), ("-FLAGS", "\\Seen")):
            witness.store("INBOX", uids[1], how, flag)
            changed = page(session, headers={"If-None-Match": etag})
            assert changed.headers["ETag"] != etag
            etag = changed.headers["ETag"]
            page(session, expect=304, headers={"If-None-Match": etag})
        witness.expunge("INBOX", uids[0])
        assert page(session, headers={"If-None-Match": etag}).headers["ETag"] != etag


def test_different_lists_have_different_etags(session, mailbox):
    deliver(mailbox, range(3))
    etags = [page(session, **query).headers["ETag"] for query in
             ({}, {"limit": 2}, {"fields": "id"}, {"total": "exact"})]
    assert len(set(etags)) == len(etags)


def test_an_etag_holds_over_sessions(api, mailbox):
    deliver(mailbox, range(3))
    etag = page(api.sign_in(mailbox)).headers["ETag"]
    page(api.sign_in(mailbox), expect=304, headers={"If-None-Match": etag})


def test_ndjson_is_one_message_a_line(session, mailbox):
    deliver(mailbox, range(20))
    plain = page(session).json["items"]
    lines = page(session, headers={"Accept": "application/x-ndjson"})
    assert lines.content_type == "application/x-ndjson"
    assert [json.loads(line) for line in lines.text.splitlines()] == plain
    first = page(session, limit=8, headers={"Accept": "application/x-ndjson"})
    assert len(first.text.splitlines()) == 8
    assert [json.loads(line) for line in session.get(next_link(first), headers={"Accept": "application/x-ndjson"})
            .text.splitlines()] == plain[8:16]
    page(session, headers={"Accept": "text/html"}, expect=406)


def test_the_link_header_leads_to_the_next_page(session, mailbox):
    deliver(mailbox, range(12))
    first = page(session, limit=5, fields="messageId")
    found, answer = list(first.json["items"]), first
    while link := next_link(answer):
        query = parse_qs(urlsplit(link).query)
        assert query["folder"] == ["inbox"] and query["limit"] == ["5"] and query["fields"] == ["messageId"]
        answer = session.get(link, expect=200)
        found += answer.json["items"]
    assert numbers(found) == list(reversed(range(12)))
    assert answer.json["nextCursor"] is None


# ---- cursors ----

def test_an_altered_cursor_is_refused_wherever_it_is_altered(session, mailbox):
    deliver(mailbox, range(4))
    cursor = page(session, limit=2).json["nextCursor"]
    for at in range(0, len(cursor), 3):
        changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1:]
        session.problem("GET", LIST, 400, "invalid-cursor", query={"folder": "inbox", "limit": 2, "cursor": changed})
    for changed in (cursor[:-1], cursor + "A", cursor[::-1], "A" * len(cursor), "x", "0", cursor + cursor, "é", "A" * 3000):
        session.problem("GET", LIST, 400, "invalid-cursor", query={"folder": "inbox", "limit": 2, "cursor": changed})
    page(session, limit=2, cursor=cursor)


def test_a_cursor_belongs_to_its_folder_and_account(session, api, mailbox, new_mailbox):
    other = new_mailbox()
    for box in (mailbox, other):
        deliver(box, range(4))
        deliver(box, range(4), folder="Archive")
    cursor = page(session, limit=2).json["nextCursor"]
    for folder in ("archive", "inbox,archive", "*"):
        session.problem("GET", LIST, 400, "invalid-cursor", query={"folder": folder, "cursor": cursor})
    api.sign_in(other).problem("GET", LIST, 400, "invalid-cursor", query={"folder": "inbox", "cursor": cursor})
    # The same account in another session, and another name of the same folder: the same list.
    assert numbers(page(api.sign_in(mailbox), cursor=cursor).json["items"]) == [1, 0]
    assert numbers(page(session, cursor=cursor, folder="path:INBOX").json["items"]) == [1, 0]


def test_a_cursor_outlives_a_restart(make_server, mailbox):
    deliver(mailbox, range(10))
    first = make_server()
    first.start()
    cursor = page(Client(first, mailbox=mailbox), limit=4).json["nextCursor"]
    assert first.stop() == 0
    first.stop_and_check()
    second = make_server(data_dir=first.data_dir)
    second.start()
    assert numbers(page(Client(second, mailbox=mailbox), cursor=cursor).json["items"]) == [5, 4, 3, 2, 1, 0]
    second.stop_and_check()


def test_mail_that_comes_and_goes_while_paging_neither_doubles_nor_loses_any(session, mailbox):
    uids = deliver(mailbox, range(60))
    found, query, added = [], {"limit": 7}, 100
    with Witness(mailbox) as witness:
        while True:
            answer = page(session, **query).json
            found += numbers(answer["items"])
            if answer["nextCursor"] is None:
                break
            query["cursor"] = answer["nextCursor"]
            deliver(mailbox, [added])
            added += 1
            last = found[-1]
            # The very message the cursor stands behind goes, and one that was shown already.
            witness.expunge("INBOX", [uids[last], uids[last + 3]])
    assert found == list(reversed(range(60)))


# ---- several folders ----

def test_several_folders_make_one_list_in_one_order(session, mailbox):
    deliver(mailbox, range(0, 30, 3))
    deliver(mailbox, range(1, 30, 3), folder="Archive")
    deliver(mailbox, range(2, 30, 3), folder="Été/Ça, ou là")
    for folder in ("*", "inbox,archive,path:%C3%89t%C3%A9%2F%C3%87a%2C%20ou%20l%C3%A0"):
        found, cursor = [], ""
        while True:
            answer = session.get(f"{LIST}?folder={folder}&limit=7{cursor}", expect=200).json
            found += answer["items"]
            if answer["nextCursor"] is None:
                break
            cursor = "&cursor=" + answer["nextCursor"]
        assert numbers(found) == list(reversed(range(30)))
        assert len({item["folderId"] for item in found}) == 3
    assert numbers(session.messages("archive,inbox")) == [n for n in reversed(range(30)) if n % 3 != 2]
    assert numbers(session.messages("inbox,inbox,path:INBOX")) == [n for n in reversed(range(30)) if n % 3 == 0]


def test_a_list_of_all_folders_sees_what_changed_in_any(session, mailbox):
    deliver(mailbox, [1])
    deliver(mailbox, [2], folder="Archive")
    first = page(session, folder="*", total="exact")
    assert first.json["total"] == 2
    page(session, folder="*", total="exact", expect=304, headers={"If-None-Match": first.headers["ETag"]})
    deliver(mailbox, [3], folder="Brand new")
    assert numbers(page(session, folder="*").json["items"]) == [3, 2, 1]


@pytest.mark.parametrize("folder", ["nowhere", "path:No/Such", "f_AAAAAAAAAAAAAAAAAAAA", "inbox,nowhere"])
def test_a_folder_that_does_not_exist_is_404(folder, session):
    session.problem("GET", LIST, 404, "not-found", query={"folder": folder})


def test_a_folder_list_with_holes_is_refused(session):
    for folder in ("inbox,", ",", ",inbox", "inbox,,archive"):
        session.problem("GET", LIST, 400, "invalid-request", query={"folder": folder})


def test_only_the_default_sort_is_known_yet(session):
    page(session, sort="-receivedAt")
    session.problem("GET", LIST, 400, "invalid-request", query={"folder": "inbox", "sort": "subject"})


# ---- a big folder ----

BIG = 3000


@pytest.fixture(scope="module")
def big(mailboxes):
    box = mailboxes.new()
    box.fill("INBOX", BIG)
    return box


def test_a_big_folder_gives_its_newest_page_before_it_is_filled_in(start_server, big):
    client = Client(start_server(first_page="60", backfill_batch="50"), mailbox=big)
    first = page(client, total="exact").json
    assert first["complete"] is False
    assert len(first["items"]) == 50 and first["total"] == BIG
    wanted = [one.as_listed() for one in truth(big)]
    assert seen_in(first["items"]) == wanted[:50]
    # Pages that reach beyond what is mirrored are right although the rest is still coming.
    assert seen_in(client.messages(limit=200)) == wanted
    assert wait_for(lambda: page(client).json["complete"], 60)
    assert seen_in(client.messages()) == wanted
    folder = client.get("/v1/accounts/me/folders/inbox", expect=200).json
    assert folder["sync"] == {"complete": True, "messages": BIG} and folder["total"] == BIG
    assert folder["unread"] == sum("\\Seen" not in one.flags for one in truth(big))


def test_flags_that_change_while_a_folder_is_filled_in_are_right(start_server, mailboxes):
    box = mailboxes.new()
    uids = deliver(box, range(1200))
    client = Client(start_server(first_page="50", backfill_batch="40"), mailbox=box)
    with Witness(box) as witness:
        for step in range(12):
            witness.store("INBOX", uids[step * 100:step * 100 + 10], "+FLAGS", "\\Flagged")
            witness.expunge("INBOX", [uids[step * 100 + 50]])
            deliver(box, [5000 + step])
            assert page(client, limit=1, fields="messageId").json["items"] == [{"messageId": ident(5000 + step)}]
        assert wait_for(lambda: page(client).json["complete"], 60)
        assert seen_in(client.messages()) == [one.as_listed() for one in witness.look("INBOX")]


def next_link(answer):
    match = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers.get("Link") or "")
    return match and match[1]
