"""What is served cannot bite: raw answers about mails that try to set headers, types and names of their own."""

import json
import re
from urllib.parse import unquote_to_bytes

import pytest
from support.client import Client, basic_credentials
from support.harm import RECORDS, Harm, message, say
from support.raw_http import RawAnswer, ask

ME = "/v1/accounts/me"
INLINE = {"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain"}
POLICY = "sandbox; default-src 'none'"
# All that an answer may say. A mail that could add a line would add another.
COMMON = {"date", "connection", "x-request-id", "content-type", "x-content-type-options", "referrer-policy",
          "cache-control", "server-timing", "cross-origin-resource-policy", "content-length"}
KNOWN = COMMON | {"transfer-encoding", "etag", "accept-ranges", "content-disposition", "content-security-policy",
                  "content-range", "x-mail-source", "age", "vary", "link", "location", "retry-after"}
DEVICE = re.compile(r"(?i)(con|prn|aux|nul|(com|lpt)[0-9¹²³]) *(\.|$)")
TURNED = re.compile("[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

# name: (lines of the part's header, the Content-Type that is served, the file name, or None for any harmless one)
PARTS = {
    "html": (b"Content-Type: text/html; charset=utf-8\r\nContent-Disposition: inline; filename=a.html",
             "text/html; charset=utf-8", "a.html"),
    "svg": (b"Content-Type: image/svg+xml; name=a.svg\r\nContent-Disposition: inline", "image/svg+xml", "a.svg"),
    "xml": (b"Content-Type: text/xml\r\nContent-Disposition: inline", "text/xml; charset=us-ascii", ""),
    "xhtml": (b"Content-Type: application/xhtml+xml", "application/xhtml+xml", ""),
    "pdf": (b"Content-Type: application/pdf; name=\"a.pdf\"", "application/pdf", "a.pdf"),
    "script": (b"Content-Type: text/javascript", "text/javascript; charset=us-ascii", ""),
    "push": (b"Content-Type: multipart/x-mixed-replace; boundary=none", None, None),
    "png": (b"Content-Type: image/png; name=a.png", "image/png", "a.png"),
    "webp in capitals": (b"Content-Type: IMAGE/WEBP", "image/webp", ""),
    "plain": (b"Content-Type: text/plain; charset=iso-8859-1; format=flowed", "text/plain; charset=iso-8859-1", ""),
    "plain in UTF-7": (b"Content-Type: text/plain; charset=utf-7", "text/plain", ""),
    "charset with a quote": (b"Content-Type: text/plain; charset=\"x\\\"; boundary=y\"", "text/plain", ""),
    "charset with a line": (b"Content-Type: text/plain; charset=\"x\r\n Set-Cookie: a=1\"", "text/plain", ""),
    "charset in 2231": (b"Content-Type: text/plain; charset*=us-ascii'en'x%0D%0ASet-Cookie:%20a=1", "text/plain", ""),
    "no type": (b"Content-Type: nothing", None, None),
    "type with blanks": (b"Content-Type: text/ht ml", None, None),
    "type with parentheses": (b"Content-Type: text/(x)html", None, None),
    "type of quotes": (b"Content-Type: \"text\"/\"html\"", None, None),
    "type of eight bits": (b"Content-Type: t\xe9xt/html", None, None),
    "long type": (b"Content-Type: text/" + b"x" * 5000, "application/octet-stream", ""),
    "line in a name": (b"Content-Type: a/b; name=\"x\r\n Set-Cookie: a=1\"", "a/b", None),
    "line in 2231": (b"Content-Type: a/b\r\nContent-Disposition: inline; filename*=utf-8''a%0D%0ASet-Cookie:%20a=1%00b",
                     "a/b", None),
    "line in 2047": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename=\"=?utf-8?Q?a=0D=0ASet-Cookie:=20a=3D1?=\"",
                     "a/b", None),
    "path": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename=\"../../../etc/passwd\"", "a/b", "passwd"),
    "path of Windows": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename*=utf-8''C%3A%5Cboot.ini", "a/b", "boot.ini"),
    "only a path": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename=\"/..\"", "a/b", ""),
    "turned around": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename*=utf-8''photo%E2%80%AEgpj.exe", "a/b", "photogpj.exe"),
    "isolates": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename*=utf-8''%E2%81%A6x%E2%81%A9.exe", "a/b", "x.exe"),
    "dots at the end": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename=\"setup.exe. . \"", "a/b", "setup.exe"),
    "a hidden file": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename=.bashrc", "a/b", "bashrc"),
    "a device": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename=\"con.txt\"", "a/b", "_con.txt"),
    "a stream": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename=\"a.txt:x.exe\"", "a/b", "a.txt_x.exe"),
    "quotes": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename=\"a\\\"; filename=b.exe; x=\\\"\"", "a/b", None),
    "percent": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename=\"100%41.txt\"", "a/b", "100%41.txt"),
    "not UTF-8": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename=\"\xff\xfe\x80.txt\"", "a/b", None),
    "controls": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename=\"a\x01\x1b[31m\x7fb.txt\"", "a/b", None),
    "controls of C1": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename*=utf-8''a%C2%85%C2%9Bb.txt", "a/b", "ab.txt"),
    "a long name": (b"Content-Type: a/b\r\nContent-Disposition: attachment; filename*=utf-8''" + b"%C3%A9" * 3000, "a/b", None),
    "another disposition": (b"Content-Type: text/html\r\nContent-Disposition: form-data; name=x", "text/html; charset=us-ascii", ""),
    "a message": (b"Content-Type: message/rfc822", "message/rfc822", ""),
    "an id that is a header": (b"Content-Type: a/b\r\nContent-ID: <x\r\n Set-Cookie: a=1>\r\nContent-Location: http://x/\r\n"
                               b"Content-MD5: x\r\nContent-Language: \"\r\nLink: <x>; rel=y", "a/b", ""),
}
BODY = b"From: a@example.org\r\nSubject: inner\r\n\r\n<script>alert(document.domain)</script>\r\n"
HEAD = (b"From: =?utf-8?q?a=0D=0ASet-Cookie:_a=3D1?= <a@example.org>\r\nTo: \"x\\\r\n\" <b@example.org>\r\n"
        b"Subject: =?utf-8?q?hello=0D=0ASet-Cookie:_a=3D1=00?=\r\nMessage-ID: <x\r\n Set-Cookie: a=1>\r\n"
        b"Date: Fri, 02 Oct 2026 10:00:00 +0000\r\nSet-Cookie: a=1\r\nContent-Security-Policy: none\r\n"
        b"ETag: \"x\"\r\nX-Request-Id: \r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=BB\r\n\r\n")


@pytest.fixture(scope="module")
def letter(server, mailboxes):
    """(server, credentials, the message's path, {name of a part: its path})"""
    box = mailboxes.new()
    data = HEAD + b"".join(b"--BB\r\n" + lines + b"\r\n\r\n" + BODY for lines, _, _ in PARTS.values()) + b"--BB--\r\n"
    box.deliver("INBOX", data)
    client = Client(server, mailbox=box)
    path = f"{ME}/messages/{client.messages()[0]['id']}"
    tree = client.get(path, query={"fields": "parts"}, expect=200).json["parts"][0]["children"]
    assert len(tree) == len(PARTS)
    return (server, basic_credentials(box.user, box.password), path,
            {name: f"{path}/parts/{part['id']}" for name, part in zip(PARTS, tree)})


def judge(answer):
    """What every answer owes, whatever it is about."""
    assert set(answer.headers) <= KNOWN, f"unknown headers: {answer!r}"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert b"a=1" not in answer.head.replace(b"Set-Cookie_ a=1", b"")
    return answer


def file_name(disposition):
    """By a strict reader of RFC 6266; the name must be the same one to both kinds of clients, as far as ASCII goes."""
    found = re.fullmatch(r"(inline|attachment)(?:; filename=\"([^\"\\%;]*)\")?(?:; filename\*=UTF-8''([A-Za-z0-9%._~-]+))?",
                         disposition)
    assert found, disposition
    way, plain, extended = found.groups()
    assert plain is None or extended is None or len(plain) == len(unquote_to_bytes(extended).decode())
    return way, unquote_to_bytes(extended).decode() if extended else plain or ""


def is_harmless(name):
    return (not re.search(r"[\x00-\x1f\x7f-\x9f/\\:]", name) and not TURNED.search(name) and not DEVICE.match(name) and
            not re.search(r"^[. ]|[. ]$", name) and len(name.encode()) <= 256)


def judge_content(answer, way=None):
    judge(answer)
    served = answer.headers.get("content-type", "")
    disposed, name = file_name(answer.headers["content-disposition"])
    assert answer.headers["content-security-policy"] == POLICY
    assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+(; charset=[0-9A-Za-z_.:+-]+)?", served)
    assert disposed == ("inline" if served.partition(";")[0] in INLINE else "attachment")
    assert way in (None, disposed)
    assert is_harmless(name), name
    return served, name


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_served_as_what_it_may_be(letter, name):
    server, credentials, _, parts = letter
    _, kind, wanted = PARTS[name]
    raw = ask(server, "GET", parts[name], credentials)
    if name == "push":  # a part that holds parts is not served, nor is one that claims to
        answer = judge(RawAnswer(raw))
        assert answer.status in (200, 404)
        if answer.status == 200:
            assert not judge_content(answer)[0].startswith("multipart/")
        return
    answer = RawAnswer(raw)
    assert answer.status == 200, answer
    served, found = judge_content(answer)
    assert kind in (None, served)
    assert wanted in (None, found)


@pytest.mark.parametrize("name", [name for name in PARTS if name != "push"])
def test_each_way_to_ask_for_a_part_says_the_same(letter, name):
    server, credentials, _, parts = letter
    path = parts[name]
    whole = RawAnswer(ask(server, "GET", path, credentials))
    head = RawAnswer(ask(server, "HEAD", path, credentials))
    some = RawAnswer(ask(server, "GET", path, credentials, [("Range", "bytes=0-3")]))
    assert (head.status, some.status) == (200, 206)
    for answer in (head, some):
        judge_content(answer)
        for header in ("content-type", "content-disposition", "etag"):
            assert answer.headers[header] == whole.headers[header]
    raw = RawAnswer(ask(server, "GET", path + "?encoding=raw", credentials))
    judge_content(raw)
    known = RawAnswer(ask(server, "GET", path, credentials, [("If-None-Match", whole.headers["etag"])]))
    assert judge(known).status == 304
    beyond = judge(RawAnswer(ask(server, "GET", path, credentials, [("Range", "bytes=999999-")])))
    assert (beyond.status, beyond.headers["content-type"]) == (416, "application/problem+json")


def test_a_whole_message_is_a_download(letter):
    server, credentials, path, _ = letter
    answer = RawAnswer(ask(server, "GET", path + "/raw", credentials))
    served, name = judge_content(answer, "attachment")
    assert served == "message/rfc822" and re.fullmatch(r"m_[A-Za-z0-9_-]+\.eml", name)


@pytest.mark.parametrize("tail", ["", "/headers", "/text?as=plain", "/text?as=html", "?fields=@full", "?fields=header.Subject"])
def test_what_describes_a_message_is_json_that_no_browser_shows(letter, tail):
    server, credentials, path, _ = letter
    answer = judge(RawAnswer(ask(server, "GET", path + tail, credentials)))
    assert answer.headers["content-type"] in ("application/json", "application/problem+json")
    assert "content-disposition" not in answer.headers


def test_lists_and_problems_too(letter):
    server, credentials, path, _ = letter
    for target in (f"{ME}/messages?folder=inbox", f"{ME}/folders", f"{path}/parts/99", f"{ME}/messages?folder=%3Cscript%3E",
                   "/v1/%3Cscript%3E"):
        answer = judge(RawAnswer(ask(server, "GET", target, credentials)))
        assert answer.headers["content-type"] in ("application/json", "application/problem+json")
    lines = judge(RawAnswer(ask(server, "GET", f"{ME}/messages?folder=inbox", credentials,
                                [("Accept", "application/x-ndjson")])))
    assert lines.headers["content-type"] == "application/x-ndjson"


# ---- a mail server says of a part what no mail could make an honest one say ----
def lie(text):
    return b"{%d}\r\n%s" % (len(text), text)


EVIL = b"x\r\nSet-Cookie: a=1\r\n\r\n<script>\x00"
LIES = {
    "type": lie(b"TEXT\r\nSet-Cookie: a=1") + b' "HTML" NIL NIL NIL "7BIT" 5 1',
    "subtype": b'"TEXT" ' + lie(EVIL) + b' NIL NIL NIL "7BIT" 5 1',
    "subtype of image": b'"IMAGE" ' + lie(b"PNG\r\nSet-Cookie: a=1") + b' NIL NIL NIL "7BIT" 5',
    "charset": b'"TEXT" "PLAIN" ("CHARSET" ' + lie(EVIL) + b') NIL NIL "7BIT" 5 1',
    "name": b'"A" "B" ("NAME" ' + lie(EVIL) + b') NIL NIL "7BIT" 5',
    "parameter": b'"A" "B" (' + lie(EVIL) + b' "x") NIL NIL "7BIT" 5',
    "id and description": b'"A" "B" NIL ' + lie(EVIL) + b" " + lie(EVIL) + b' "7BIT" 5',
    "encoding": b'"A" "B" NIL NIL NIL ' + lie(EVIL) + b" 5",
    "disposition": b'"A" "B" NIL NIL NIL "7BIT" 5 NIL (' + lie(EVIL) + b' ("FILENAME" ' + lie(EVIL) + b")) NIL NIL",
    "language and location": b'"A" "B" NIL NIL NIL "7BIT" 5 NIL NIL ' + lie(EVIL) + b" " + lie(EVIL),
    "md5": b'"A" "B" NIL NIL NIL "7BIT" 5 ' + lie(EVIL) + b" NIL NIL NIL",
}


@pytest.mark.parametrize("name", LIES)
def test_a_lying_mail_server_adds_no_header(server, name):
    envelope = b"(" + b" ".join([lie(EVIL)] * 2 + [b"NIL"] * 6 + [lie(EVIL)] * 2) + b")"
    with Harm([(RECORDS, say(message(1, envelope=envelope, structure=b"(" + LIES[name] + b")"))),
               ("UID FETCH .*(BODY|BINARY)", say(b"* 1 FETCH (UID 1 BODY[1] {5}\r\nhello BODY[] {5}\r\nhello)\r\n"))]) as harm:
        client = Client(server)
        client.token = client.post("/v1/sessions", json=harm.target(), expect=201).json["token"]
        server.tokens.append(client.token)
        credentials = f"Bearer {client.token}"
        listed = judge(RawAnswer(ask(server, "GET", f"{ME}/messages?folder=inbox", credentials)))
        assert listed.status == 200, listed
        for item in json.loads(listed.body)["items"]:
            path = f"{ME}/messages/{item['id']}"
            for target in (path, f"{path}/parts/1", f"{path}/parts/1?encoding=raw", f"{path}/raw", f"{path}/text"):
                for method in ("GET", "HEAD"):
                    answer = judge(RawAnswer(ask(server, method, target, credentials)))
                    if "content-disposition" in answer.headers:
                        judge_content(answer)
        client.sign_out()
