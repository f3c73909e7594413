"""Mails that break careless readers: each lists, answers, downloads byte for byte, and harms nobody."""

import json
import re

import pytest
import sample
from support.client import Client

ME = "/v1/accounts/me"
MAILS = sample.hostile()


@pytest.fixture(scope="module")
def hostile(server, mailboxes):
    """(client, {name: list item}): all of them in one folder, delivered in order."""
    box = mailboxes.new()
    box.dovecot.deliver_many(box.user, "INBOX", [((), sample.BASE.timestamp() + number, data)
                                                 for number, data in enumerate(MAILS.values())])
    client = Client(server, mailbox=box)
    items = client.messages()
    assert len(items) == len(MAILS)
    return client, dict(zip(MAILS, reversed(items)))


@pytest.fixture(params=MAILS)
def case(request, hostile):
    client, items = hostile
    return client, items[request.param], request.param, MAILS[request.param]


def as_kept(data):
    """What Dovecot makes of the bytes: see hostile.py."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", data).replace(b"\0", b"\x80")


def clean(text):
    return not any(ord(letter) < 0x20 or ord(letter) == 0x7f for letter in text)


def test_it_lists_with_what_could_be_read(case):
    _, item, name, data = case
    if f"Subject: hostile: {name}\r\n".encode() in data:
        assert item["subject"] == f"hostile: {name}"
        if name not in ("addresses broken", "every header twice"):
            assert item["from"] == [{"name": "Mallory", "email": "mallory@example.net"}]
    assert item["size"] == len(as_kept(data))
    assert clean(item["subject"] or "") and clean(item["preview"] or "")
    for member in ("from", "to", "cc", "bcc", "replyTo", "sender"):
        for address in item[member]:
            assert clean(address["name"] or "") and clean(address["email"] or "")


def test_it_answers_whole(case):
    client, item, _, _ = case
    message = client.get(f"{ME}/messages/{item['id']}", expect=200).json
    for header in message["headers"]:
        assert clean(header["name"]) and clean(header["value"])
    depth = 0
    for part, level in walk(message["parts"]):
        depth = max(depth, level)
        for member in ("type", "charset", "name", "disposition", "contentId", "encoding"):
            assert clean(part[member] or ""), (member, part[member])
        assert "/" not in (part["name"] or "") and "\\" not in (part["name"] or "")
    for member in ("text", "html"):
        if message[member]:
            assert "\0" not in message[member]["value"]
            assert len(message[member]["value"].encode()) <= 256 * 1024


def test_its_raw_bytes_are_those_the_mail_server_has(case):
    client, item, _, data = case
    assert client.get(f"{ME}/messages/{item['id']}/raw", expect=200).body == as_kept(data)


def test_its_text_and_headers_answer(case):
    client, item, _, _ = case
    client.get(f"{ME}/messages/{item['id']}/headers", expect=200)
    text = client.get(f"{ME}/messages/{item['id']}/text", expect=200).json
    assert "\0" not in text["value"]
    client.get(f"{ME}/messages/{item['id']}/text?as=html", expect=(200, 404))


def test_its_parts_answer(case):
    client, item, _, _ = case
    parts = [part for part, _ in walk(client.get(f"{ME}/messages/{item['id']}?fields=parts", expect=200).json["parts"])]
    for part in parts[:4] + parts[-4:]:
        if not part["type"].startswith("multipart/"):
            got = client.get(f"{ME}/messages/{item['id']}/parts/{part['id']}", expect=200)
            again = client.get(f"{ME}/messages/{item['id']}/parts/{part['id']}", query={"encoding": "raw"}, expect=200)
            for answer in (got, again):
                assert int(answer.headers["Content-Length"]) == len(answer.body)
                assert clean(answer.headers.get("Content-Disposition") or "")
                assert "Set-Cookie" not in answer.headers
                assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name, shown", [
    ("attachment name climbs", "passwd"), ("attachment type script", "x.html")])
def test_an_attachments_name_is_only_a_name(name, shown, hostile):
    client, items = hostile
    attachments = client.get(f"{ME}/messages/{items[name]['id']}?fields=attachments", expect=200).json["attachments"]
    assert [part["name"] for part in attachments] == [shown]
    got = client.get(f"{ME}/messages/{items[name]['id']}/parts/{attachments[0]['id']}", expect=200)
    assert got.body == b"hello"
    assert f'filename="{shown}"' in got.headers["Content-Disposition"]


@pytest.mark.parametrize("name", ["attachment name climbs", "attachment name has CR LF", "attachment name encoded",
                                  "attachment name of 10 KB", "attachment name pieces", "attachment type script"])
def test_an_oddly_named_attachment_can_be_downloaded(name, hostile):
    client, items = hostile
    attachments = client.get(f"{ME}/messages/{items[name]['id']}?fields=attachments", expect=200).json["attachments"]
    answer = client.get(f"{ME}/messages/{items[name]['id']}/parts/{attachments[0]['id']}", expect=200)
    assert answer.body == b"hello"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert len(answer.headers["Content-Disposition"]) < 2000


LIMITS = {"unreadable", "depth", "parts", "headers", "addresses", "time", "memory"}


@pytest.mark.parametrize("name, limits", [
    ("2000 parts", {"parts", "headers"}),  # its structure fills the line a mail server may send; References stood behind
    ("5000 addresses", set()),
    ("5001 addresses", {"addresses"}),
    ("addresses in 100000 groups", set()),  # of which Dovecot tells one
    ("addresses of nothing but commas", {"addresses"}),
    ("100000 references", {"headers"}),
    ("10000 parameters", {"headers"}),
    ("3000 addresses", set()),
    ("charset unknown", set()),
    ("charset wants iconv options", set()),
    ("html of 1000000 open tags", set()),
])
def test_what_is_only_partly_described_says_so(name, limits, hostile):
    client, items = hostile
    message = client.get(f"{ME}/messages/{items[name]['id']}?fields=limited,parts", expect=200).json
    assert set(message["limited"]) == limits
    assert message["parts"]


def test_a_hundred_levels_are_told_and_no_more(hostile):
    """Dovecot itself goes no deeper, so nothing is left out of what it says."""
    client, items = hostile
    for name in ("multipart 300 deep", "message 200 deep"):
        message = client.get(f"{ME}/messages/{items[name]['id']}?fields=limited,parts", expect=200).json
        levels = max(level for _, level in walk(message["parts"]))
        assert (levels, message["limited"]) in ((100, []), (101, []), (100, ["depth"])), (name, levels, message["limited"])


def test_no_limit_is_said_that_nobody_knows(case):
    client, item, _, _ = case
    message = client.get(f"{ME}/messages/{item['id']}?fields=limited,headers", expect=200).json
    assert len(message["limited"]) == len(set(message["limited"]))
    assert set(message["limited"]) <= LIMITS
    headers = client.get(f"{ME}/messages/{item['id']}/headers", expect=200).json
    assert set(headers["limited"]) <= {"headers", "time", "memory"}
    assert set(headers["limited"]) - {"time"} <= set(message["limited"])


@pytest.mark.parametrize("name, told", [("5000 addresses", 5000), ("5001 addresses", 5000), ("3000 addresses", 3000)])
def test_as_many_addresses_are_told_as_may_be(name, told, hostile):
    _, items = hostile
    assert len(items[name]["cc"]) == told
    assert items[name]["cc"][2999]["email"] == "p2999@example.org"


@pytest.mark.parametrize("name, limits", [
    ("header section of 1 MiB", []), ("header section of 1 MiB and 1", ["headers"]),
    ("header line of 200 KB", ["headers"]), ("5000 header lines", [])])
def test_headers_that_are_cut_say_so(name, limits, hostile):
    client, items = hostile
    assert client.get(f"{ME}/messages/{items[name]['id']}/headers", expect=200).json["limited"] == limits


def test_a_letter_to_thousands_keeps_its_structure(hostile):
    client, items = hostile
    for name in ("3000 addresses", "5001 addresses"):
        parts = client.get(f"{ME}/messages/{items[name]['id']}?fields=parts", expect=200).json["parts"]
        assert [part["type"] for part in parts] == ["text/plain"]
        assert items[name]["preview"] == "hello"


def test_as_much_of_a_long_structure_is_told_as_came(hostile):
    client, items = hostile
    root, = client.get(f"{ME}/messages/{items['2000 parts']['id']}?fields=parts", expect=200).json["parts"]
    assert root["type"] == "multipart/mixed" and 500 < len(root["children"]) < 2000
    last = root["children"][-1]
    assert client.get(f"{ME}/messages/{items['2000 parts']['id']}/parts/{last['id']}", expect=200).body == b"x"


def test_broken_encodings_give_what_there_is(hostile):
    client, items = hostile
    text = {name: client.get(f"{ME}/messages/{items[name]['id']}/text", expect=200).json["value"] for name in
            ("base64 broken", "quoted-printable broken", "charset lies utf-8", "charset lies us-ascii", "charset unknown",
             "transfer encoding unknown", "nul bytes", "bare CR", "quoted-printable of nothing", "base64 of garbage",
             "escapes of iso-2022-jp", "charset wants iconv options", "charset is a path", "charset lies gb2312")}
    assert "hel" in text["base64 broken"]
    assert text["quoted-printable broken"].startswith("=ZZ") and "end" in text["quoted-printable broken"]
    assert "latin: " in text["charset lies utf-8"] and "end" in text["charset lies utf-8"]
    assert "naïve café" in text["charset lies us-ascii"]
    assert "pla'" in text["charset unknown"]
    assert "uryyb" in text["transfer encoding unknown"]
    for name in ("quoted-printable of nothing", "base64 of garbage", "escapes of iso-2022-jp", "charset wants iconv options",
                 "charset is a path", "charset lies gb2312"):
        assert text[name].rstrip().endswith("hello"), name


def test_a_header_that_smuggles_a_line_stays_one_header(hostile):
    client, items = hostile
    item = items["control characters"]
    assert item["bcc"] == []
    headers = client.get(f"{ME}/messages/{item['id']}/headers", expect=200).json["items"]
    assert "Bcc" not in [header["name"] for header in headers]


def test_the_server_lives_and_lists_on(hostile):
    client, items = hostile
    client.get("/healthz", expect=200)
    assert {item["id"] for item in client.messages()} == {item["id"] for item in items.values()}
    for item in client.messages(limit=3):
        json.dumps(item).encode()


def walk(parts, level=1):
    for part in parts:
        yield part, level
        yield from walk(part["children"], level + 1)
