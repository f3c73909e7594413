"""Every mail of the sample mailbox: its list members, its tree, its text, its bytes."""

import email
import email.policy
import email.utils
import hashlib
import json
import re
from email.header import decode_header, make_header
from urllib.parse import quote

import pytest

import compose
import sample
from support.client import Client

ME = "/v1/accounts/me"

RAW_SUBJECTS = {b"Raw latin-1": "Raw latin-1: café für Größe", b"Raw utf-8": "Raw utf-8: žluťoučký kůň 你好"}
RAW_NAMES = {b"andre@example.net": "André", b"zoe@example.org": "Zoë Example"}
WITH_ATTACHMENTS = {"Quarterly report", "Unterlagen für März", "Fwd: The signed contract", "Holiday pictures",
                    "The whole recording (12 MB)", "Invitation: Fair in Lyon", "写真",
                    "[build] main: 214 passed, 0 failed", "A signed statement", "Undelivered Mail Returned to Sender",
                    *(f"Invoice 2026-{number:03d}" for number in range(1, 6))}
BIG = "The whole recording (12 MB)"


@pytest.fixture(scope="module")
def reader(server, demo):
    return Client(server).sign_in(demo)


def full(reader, ident, fields=None):
    return reader.get(f"{ME}/messages/{ident}", query=fields and {"fields": fields}, expect=200).json


def name_of(one):
    subject = str(email.message_from_bytes(one.data).get("Subject", "without subject"))
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{one.folder}-{one.internaldate:%m%d%H%M}-{subject}")[:48]


@pytest.fixture(scope="module")
def found(reader):
    """{sha256 of the raw bytes: (list item, folder)}, by downloading every message of every folder."""
    out = {}
    for folder in sample.FOLDERS:
        for item in reader.messages(f"path:{folder}"):
            raw = reader.get(f"{ME}/messages/{item['id']}/raw")
            assert raw.status == 200, raw
            assert item["size"] == len(raw.body)
            out.setdefault(hashlib.sha256(raw.body).digest(), []).append((item, folder))
    return out


@pytest.fixture(params=sample.messages(), ids=name_of)
def one(request):
    return request.param


@pytest.fixture
def item(found, one):
    hits = found.get(hashlib.sha256(one.data).digest(), [])
    assert len(hits) == 1, "the raw bytes are not those that were delivered"
    assert hits[0][1] == one.folder
    return hits[0][0]


def test_every_sample_is_listed_once_with_its_exact_bytes(found):
    assert sum(map(len, found.values())) == len(sample.messages())


def test_a_list_says_what_the_mail_says(one, item):
    assert item["receivedAt"] == one.internaldate.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert item["subject"] == subject_of(one.data)
    mail = email.message_from_bytes(one.data)
    for name, header in {"from": "From", "to": "To", "cc": "Cc", "bcc": "Bcc"}.items():
        assert item[name] == addresses_of(one.data, header), name
    for name, header in {"replyTo": "Reply-To", "sender": "Sender"}.items():
        # A mail server's ENVELOPE fills these from From (RFC 3501 7.4.2).
        assert item[name] in (addresses_of(one.data, header), addresses_of(one.data, "From")), name
        if mail.get(header):
            assert item[name] == addresses_of(one.data, header), name
    assert item["messageId"] == (idents(mail["Message-ID"]) or [None])[0]
    assert item["inReplyTo"] == idents(mail["In-Reply-To"])
    assert item["references"] == idents(mail["References"])
    date = email.utils.parsedate_to_datetime(mail["Date"]) if mail["Date"] else None
    assert item["date"] == (date.strftime("%Y-%m-%dT%H:%M:%SZ") if date else None)


def test_a_list_tells_flags_keywords_and_attachments(one, item):
    for name, flag in {"seen": "\\Seen", "flagged": "\\Flagged", "answered": "\\Answered",
                       "draft": "\\Draft"}.items():
        assert item[name] is (flag in one.flags), name
    assert item["keywords"] == sorted(flag for flag in one.flags if not flag.startswith("\\"))
    assert item["hasAttachment"] is (item["subject"] in WITH_ATTACHMENTS)


def test_a_preview_is_the_beginning_of_the_text(one, item):
    text = plain_text(one.data)
    assert len(item["preview"]) <= 200
    assert "\n" not in item["preview"] and "  " not in item["preview"]
    if text is not None:
        assert folded(text).startswith(item["preview"].rstrip("…").rstrip()[:150])
        assert bool(item["preview"]) is bool(folded(text))


def test_the_tree_is_the_mails_own_and_every_part_has_its_decoded_bytes(reader, one, item):
    message = full(reader, item["id"])
    leaves = [part for part in flat(message["parts"]) if not part["children"]]
    wanted = list(leaves_of(email.message_from_bytes(one.data), one.data))
    # An attached message is a leaf of ours by its bytes and a branch by its tree.
    by_id = {part["id"]: part for part in flat(message["parts"])}
    assert [part["type"] for part in leaves] == [kind for _, kind, _, _ in wanted if kind != "message/rfc822"]
    for ident, kind, name, content in wanted:
        part = by_id[ident]
        assert part["type"] == kind
        assert part["name"] == name
        got = reader.get(f"{ME}/messages/{item['id']}/parts/{quote(ident)}")
        assert got.status == 200
        assert got.headers["Content-Type"].split(";")[0] == kind or kind.startswith("text/") or "html" in kind
        if kind == "message/rfc822":
            content += b"\r\n"  # Dovecot counts the line end before the boundary to it
        assert got.headers["Content-Length"] in (str(len(content)), None if len(content) > 65536 else "")
        assert hashlib.sha256(got.body).hexdigest() == hashlib.sha256(content).hexdigest(), (ident, kind)
        again = next(part for part in flat(full(reader, item["id"], "parts")["parts"]) if part["id"] == ident)
        assert again["size"] in (None, len(content))


def test_a_full_message_holds_the_list_members_and_everything_else(reader, one, item):
    message = full(reader, item["id"])
    assert {key: message[key] for key in item if key != "preview"} == {
        key: value for key, value in item.items() if key != "preview"}
    assert {"parts", "attachments", "headers", "text", "html"} <= message.keys()
    assert bool(message["attachments"]) is item["hasAttachment"]
    assert all("children" not in part for part in message["attachments"])
    assert message["headers"] == reader.get(f"{ME}/messages/{item['id']}/headers", expect=200).json["items"]


def test_headers_stand_in_order_decoded(reader, one, item):
    headers = reader.get(f"{ME}/messages/{item['id']}/headers", expect=200).json["items"]
    mail = email.message_from_bytes(one.data)
    assert [header["name"] for header in headers] == list(mail.keys())
    for header, (name, raw) in zip(headers, mail.items()):
        assert "\r" not in header["value"] and "\n" not in header["value"]
        if name.lower() == "subject":
            assert header["value"] == subject_of(one.data)
        elif str(raw).isascii() and "=?" not in str(raw):
            assert folded(header["value"]) == folded(str(raw)), name


def test_text_as_plain_is_the_mails_text_in_utf8(reader, one, item):
    answer = reader.get(f"{ME}/messages/{item['id']}/text?as=plain")
    assert answer.status == 200
    value, text = answer.json, plain_text(one.data)
    if text is not None:
        assert value["truncated"] is False
        assert value["value"].rstrip() == text.replace("\r\n", "\n").rstrip()
        assert full(reader, item["id"], "text")["text"]["value"] == value["value"]
    assert "\ufffd" not in json.dumps(answer.json, ensure_ascii=False)


def test_text_as_html_is_the_mails_html(reader, one, item):
    html = text_of(one.data, "text/html")
    answer = reader.get(f"{ME}/messages/{item['id']}/text?as=html", expect=404 if html is None else 200)
    shown = full(reader, item["id"], "html")["html"]
    if html is None:
        assert answer.code == "not-found" and shown is None
    else:
        assert answer.json["value"].rstrip() == html.replace("\r\n", "\n").rstrip()
        assert shown["value"] == answer.json["value"]


def test_text_is_cut_at_max_bytes_between_characters(reader, found):
    item = by_subject(found, "שלום - פגישה ביום שני, مرحبا")
    for most in range(1, 12):
        value = reader.get(f"{ME}/messages/{item['id']}/text?maxBytes={most}").json
        assert value["truncated"] is True
        assert len(value["value"].encode()) <= most and "\ufffd" not in value["value"]
        assert "שלום רב,".startswith(value["value"])


def test_a_single_header_can_be_asked_for(reader, found):
    item = by_subject(found, "Spring offers (issue 41)")
    message = full(reader, item["id"], "id,header.List-Id,header.list-unsubscribe-post,header.X-None")
    assert message == {"id": item["id"], "header.List-Id": ["Example News <news.example.net>"],
                       "header.list-unsubscribe-post": ["List-Unsubscribe=One-Click"], "header.X-None": []}


def test_a_nameless_html_only_mail_gives_text_too(reader, found):
    item = by_subject(found, "You WON!!! 💰💰💰")
    value = reader.get(f"{ME}/messages/{item['id']}/text?as=plain").json
    assert "CLICK" in value["value"] and "<" not in value["value"]


def test_inline_images_are_found_by_their_content_id(reader, found):
    item = by_subject(found, "Ten gardens to see (issue 42)")
    message = full(reader, item["id"], "parts,attachments,html")
    image = next(part for part in flat(message["parts"]) if part["type"] == "image/png")
    assert image["contentId"] == "logo1@example.net"
    assert f"cid:{image['contentId']}" in message["html"]["value"]
    assert message["attachments"] == []
    got = reader.get(f"{ME}/messages/{item['id']}/parts/{image['id']}")
    assert got.body == compose.png(32, 16, 40, 160, 70)


def by_subject(found, subject):
    hits = [item for items in found.values() for item, _ in items if item["subject"] == subject]
    assert len(hits) == 1, subject
    return hits[0]


def flat(parts):
    for part in parts:
        yield part
        yield from flat(part["children"])


def folded(text):
    return " ".join(text.split())


def idents(header):
    return re.findall(r"<([^>]+)>", str(header)) if header else []


def header_block(data):
    return data.partition(b"\r\n\r\n")[0] + b"\r\n"


def subject_of(data):
    for mark, subject in RAW_SUBJECTS.items():
        if b"Subject: " + mark in data:
            return subject
    subject = email.message_from_bytes(header_block(data) + b"\r\n").get("Subject")
    return None if subject is None else str(make_header(decode_header(re.sub(r"\r\n(?=[ \t])", "", subject))))


def addresses_of(data, header):
    raw = email.message_from_bytes(header_block(data) + b"\r\n").get_all(header)
    if raw is None:
        return []
    for address, name in RAW_NAMES.items():
        if header == "From" and b"<" + address + b">" in header_block(data):
            return [{"name": name, "email": address.decode()}]
    value = re.sub(r"\r\n(?=[ \t])", "", str(raw[0]))
    if value.startswith("undisclosed-recipients"):
        return [{"name": None, "email": None, "group": "undisclosed-recipients"}]
    out, group = [], None
    if value.startswith("Team: "):
        group, value = "Team", value[len("Team: "):]
        inside, _, outside = value.partition(";, ")
        return ([{**one, "group": group} for one in plain_addresses(inside)] + plain_addresses(outside))
    return out + plain_addresses(value)


def plain_addresses(value):
    return [{"name": str(make_header(decode_header(name))) if name else None, "email": address}
            for name, address in email.utils.getaddresses([value])]


def leaves_of(mail, data, prefix="", at_top=True):
    """(section, type, name, decoded bytes) of every leaf, and of every attached message."""
    if mail.get_content_type() == "message/rfc822":
        inner = data[data.index(b"\r\n\r\n", data.index(b"Content-Type: message/rfc822")) + 4:]
        inner = inner[:inner.rindex(b"\r\n--", 0, inner.rindex(b"--\r\n"))]
        yield prefix, "message/rfc822", mail.get_filename(), inner
        yield from leaves_of(mail.get_payload()[0], data, prefix, True)
    elif mail.get_content_type() == "message/delivery-status":  # which Python takes for a multipart
        yield prefix, mail.get_content_type(), None, data.partition(b"message/delivery-status\r\n\r\n")[2].partition(b"\r\n--b-")[0]
    elif mail.is_multipart():
        for number, part in enumerate(mail.get_payload(), 1):
            yield from leaves_of(part, data, f"{prefix}.{number}" if prefix else str(number), False)
    else:
        ident = (f"{prefix}.1" if prefix else "1") if at_top else prefix
        yield ident, mail.get_content_type(), file_name(mail), mail.get_payload(decode=True)


def file_name(part):
    name = part.get_filename()
    return None if name is None else str(make_header(decode_header(name)))


def text_of(data, kind):
    """The text of the first leaf of that kind that is no attachment, or None."""
    for part in email.message_from_bytes(data).walk():
        if part.get_content_type() == kind and not part.get_filename() and not part.is_multipart():
            return part.get_payload(decode=True).decode(part.get_content_charset("us-ascii"))
        if part.get_content_type() == "message/rfc822":
            return None
    return None


def plain_text(data):
    return text_of(data, "text/plain")
