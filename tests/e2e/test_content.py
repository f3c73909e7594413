"""Raw messages and parts: exact bytes, ranges, validators, names and types that cannot harm a browser."""

import email
import hashlib
import re
from urllib.parse import unquote

import compose
import pytest
import sample
from support.client import Client

ME = "/v1/accounts/me"
BIG = "The whole recording (12 MB)"


@pytest.fixture(scope="module")
def reader(server, demo):
    return Client(server).sign_in(demo)


@pytest.fixture(scope="module")
def find(reader):
    known = {item["subject"]: item for folder in sample.FOLDERS for item in reader.messages("path:" + folder)}
    return lambda subject: known[subject]


@pytest.fixture(scope="module")
def report(reader, find):
    """(path of the PDF's part, its bytes)"""
    message = reader.get(f"{ME}/messages/{find('Quarterly report')['id']}", expect=200).json
    part = next(part for part in message["attachments"] if part["type"] == "application/pdf")
    return f"{ME}/messages/{message['id']}/parts/{part['id']}", compose.pdf("Quarterly report")


@pytest.fixture(scope="module")
def raw(find):
    one = sample.find(b"Subject: Quarterly report")
    return f"{ME}/messages/{find('Quarterly report')['id']}/raw", one.data


@pytest.fixture(params=["report", "raw"])
def content(request):
    return request.getfixturevalue(request.param)


def test_content_is_whole_typed_and_cached_for_ever(reader, content):
    path, data = content
    answer = reader.get(path, expect=200)
    assert answer.body == data
    assert int(answer.headers["Content-Length"]) == len(data)
    assert re.fullmatch(r'"[^"]+"', answer.headers["ETag"])
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = answer.headers["Content-Security-Policy"]
    assert "sandbox" in policy and "default-src 'none'" in policy


@pytest.mark.parametrize("wanted, first, last", [
    ("bytes=0-0", 0, 0), ("bytes=0-9", 0, 9), ("bytes=5-", 5, None), ("bytes=100-199", 100, 199), ("bytes=-1", -1, None),
    ("bytes=-50", -50, None), ("bytes=10-999999999", 10, None), ("bytes=-99999999", 0, None), ("bytes=0-", 0, None),
    ("bytes= 3-4", 3, 4)])
def test_a_range_gives_exactly_those_bytes(wanted, first, last, reader, content):
    path, data = content
    first = len(data) + first if first < 0 else first
    last = len(data) - 1 if last is None else last
    answer = reader.get(path, headers={"Range": wanted})
    if wanted == "bytes= 3-4" and answer.status == 200:
        assert answer.body == data
        return
    assert answer.status == 206, answer
    assert answer.body == data[first:last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(data)}"
    assert int(answer.headers["Content-Length"]) == len(answer.body)


@pytest.mark.parametrize("wanted", ["beyond", "bytes=99999999-", "bytes=99999999-999999999", "bytes=-0"])
def test_a_range_beyond_the_end_is_416(wanted, reader, content):
    path, data = content
    if wanted == "beyond":
        wanted = f"bytes={len(data)}-"
    answer = reader.get(path, headers={"Range": wanted}, expect=416)
    assert answer.code == "range-not-satisfiable"
    assert answer.headers["Content-Range"] == f"bytes */{len(data)}"


@pytest.mark.parametrize("wanted", ["bytes=", "bytes=x", "bytes=5-3", "items=0-5", "bytes=0-1,5-6", "bytes 0-5", "bytes=--5",
                                    "bytes=0x1-5", "bytes=99999999999999999999999-"])
def test_a_range_that_makes_no_sense_is_as_if_not_said(wanted, reader, content):
    path, data = content
    answer = reader.get(path, headers={"Range": wanted})
    assert answer.status in (200, 416) if "9999" in wanted else answer.status == 200
    assert answer.status == 416 or answer.body == data


def test_if_range_gives_the_part_only_of_the_same_thing(reader, content):
    path, data = content
    etag = reader.head(path, expect=200).headers["ETag"]
    part = reader.get(path, headers={"Range": "bytes=2-5", "If-Range": etag}, expect=206)
    assert part.body == data[2:6]
    for other in ('"other"', "W/" + etag, "Wed, 21 Oct 2026 07:28:00 GMT"):
        assert reader.get(path, headers={"Range": "bytes=2-5", "If-Range": other}, expect=200).body == data


def test_head_says_what_get_would(reader, content):
    path, data = content
    got, head = reader.get(path, expect=200), reader.head(path, expect=200)
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control", "Content-Disposition", "Accept-Ranges"):
        assert head.headers[name] == got.headers[name], name
    assert head.body == b""


def test_content_the_client_has_is_304(reader, content):
    path, _ = content
    etag = reader.head(path).headers["ETag"]
    for known in (etag, f'"x", {etag}', "W/" + etag, "*"):
        answer = reader.get(path, headers={"If-None-Match": known}, expect=304)
        assert answer.body == b"" and answer.headers["ETag"] == etag
    reader.get(path, headers={"If-None-Match": '"x"'}, expect=200)


def test_content_is_never_compressed_twice(reader, content):
    path, data = content
    answer = reader.get(path, headers={"Accept-Encoding": "gzip"}, expect=200)
    assert answer.headers.get("Content-Encoding") is None and answer.body == data


def test_a_part_can_be_had_as_it_stands(reader, report):
    path, data = report
    one = email.message_from_bytes(sample.find(b"Subject: Quarterly report").data)
    encoded = one.get_payload()[1].get_payload().encode()
    got = reader.get(path + "?encoding=raw", expect=200)
    assert got.body.replace(b"\r\n", b"\n") == encoded.replace(b"\r\n", b"\n")
    assert got.headers["ETag"] != reader.head(path).headers["ETag"]
    assert reader.get(path + "?encoding=raw", headers={"Range": "bytes=3-9"}, expect=206).body == got.body[3:10]


def test_the_12_mb_attachment_is_whole(reader, find):
    path, data = big(reader, find)
    answer = reader.get(path, expect=200)
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(data).digest()
    # Its exact size is known once somebody has read it to the end.
    assert reader.get(path.rsplit("/parts", 1)[0] + "?fields=attachments").json["attachments"][0]["size"] == len(data)
    assert int(reader.head(path).headers["Content-Length"]) == len(data)


@pytest.mark.parametrize("first, last", [(0, 65535), (1, 1), (54 * 1000 - 1, 54 * 1000), ((6 << 20) - 3, (6 << 20) + 70000),
                                         ((12 << 20) - 100, (12 << 20) - 1)])
def test_a_range_of_the_12_mb_attachment_is_exact(first, last, reader, find):
    path, data = big(reader, find)
    assert reader.get(path, headers={"Range": f"bytes={first}-{last}"}, expect=206).body == data[first:last + 1]


def test_ranges_put_together_are_the_12_mb_attachment(reader, find):
    path, data = big(reader, find)
    step, got = 5 << 20, b""
    while len(got) < len(data):
        got += reader.get(path, headers={"Range": f"bytes={len(got)}-{len(got) + step - 1}"}, expect=206).body
    assert got == data


def test_the_whole_12_mb_message_is_exact_and_in_ranges(reader, find):
    data = sample.find(b"Subject: " + BIG.encode()).data
    path = f"{ME}/messages/{find(BIG)['id']}/raw"
    assert hashlib.sha256(reader.get(path, expect=200).body).digest() == hashlib.sha256(data).digest()
    middle = len(data) // 2
    assert reader.get(path, headers={"Range": f"bytes={middle}-{middle + 99}"}, expect=206).body == data[middle:middle + 100]


@pytest.mark.parametrize("subject, index, name, ascii_name", [
    ("Quarterly report", 0, "report.pdf", "report.pdf"),
    ("Unterlagen für März", 0, "Übersicht für März – Endfassung (überarbeitet, zweite Lesung).pdf", None),
    ("Unterlagen für März", 1, "資料.zip", None),
    ("写真", 0, "写真.png", None),
    ("Holiday pictures", 1, "picture 2.png", "picture 2.png")])
def test_a_file_keeps_its_name(subject, index, name, ascii_name, reader, find):
    message = reader.get(f"{ME}/messages/{find(subject)['id']}", expect=200).json
    part = message["attachments"][index]
    assert part["name"] == name
    disposition = reader.head(f"{ME}/messages/{message['id']}/parts/{part['id']}").headers["Content-Disposition"]
    assert disposition.isascii()
    assert file_name(disposition) == name
    if ascii_name:
        assert f'filename="{ascii_name}"' in disposition


def test_html_and_scripts_are_never_shown_in_place(reader, find):
    for subject in ("Ten gardens to see (issue 42)", "You WON!!! 💰💰💰"):
        message = reader.get(f"{ME}/messages/{find(subject)['id']}", expect=200).json
        part = next(part for part in flat(message["parts"]) if part["type"] == "text/html")
        answer = reader.head(f"{ME}/messages/{message['id']}/parts/{part['id']}", expect=200)
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_text_parts_say_their_charset(reader, find):
    message = reader.get(f"{ME}/messages/{find('Отчёт за май')['id']}", expect=200).json
    answer = reader.get(f"{ME}/messages/{message['id']}/parts/1", expect=200)
    assert answer.headers["Content-Type"].lower() == "text/plain; charset=koi8-r"
    assert "Отчёт готов" in answer.body.decode("koi8-r")


@pytest.mark.parametrize("part", ["0", "3.1", "9", "1.1", "99999999999", "1.", ".1", "a", "TEXT", "HEADER", "1.MIME", "-1", "%2F",
                                  "1%0D%0AX", "1]%20BODY[", "1" * 300])
def test_a_part_that_does_not_exist_is_404(part, reader, find):
    answer = reader.get(f"{ME}/messages/{find('Quarterly report')['id']}/parts/{part}")
    assert (answer.status, answer.code) in [(404, "not-found"), (400, "invalid-request")], answer


@pytest.mark.parametrize("ident", ["x", "m_AAAAAAAAAAAAAAAAAAAAAA", "0", "A" * 26, "A" * 500, "%F0%9F%92%A9", "..", "*"])
def test_a_message_that_never_was_is_404(ident, reader):
    for rest in ("", "/raw", "/text", "/headers", "/parts/1"):
        assert reader.get(f"{ME}/messages/{ident}{rest}", expect=404).code == "not-found"
    assert reader.patch(f"{ME}/messages/{ident}", json={"seen": True}, expect=404).code == "not-found"


def test_a_message_of_another_account_is_404(session, find):
    ident = find("Quarterly report")["id"]
    for rest in ("", "/raw", "/text", "/headers", "/parts/1"):
        assert session.get(f"{ME}/messages/{ident}{rest}", expect=404).code == "not-found"
    session.patch(f"{ME}/messages/{ident}", json={"seen": True}, expect=404)


def big(reader, find):
    message = reader.get(f"{ME}/messages/{find(BIG)['id']}?fields=id,attachments", expect=200).json
    return (f"{ME}/messages/{message['id']}/parts/{message['attachments'][0]['id']}",
            compose.noise(sample.BIG_ATTACHMENT_BYTES))


def flat(parts):
    for part in parts:
        yield part
        yield from flat(part["children"])


def file_name(disposition):
    """As RFC 6266 has it: filename* wins."""
    extended = re.search(r"filename\*=UTF-8''([^;]+)", disposition, re.I)
    return unquote(extended[1]) if extended else re.search(r'filename="([^"]*)"', disposition)[1]
