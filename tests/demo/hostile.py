"""Mails that break careless readers. No server may die of them, hang on them or lie about them.

Each arrives in Dovecot byte for byte, but for two things a server does to every mail: lone LFs come back
as CR LF, and NUL bytes as 0x80.
"""

_FROM = b"From: Mallory <mallory@example.net>\r\nTo: demo@example.com\r\n"
_DATE = b"Date: Mon, 1 Jun 2026 12:00:00 +0000\r\n"


def hostile():
    """{name: bytes}. Every subject that could be set is `hostile: NAME`."""
    return {name: make(_top(name)) for name, make in _MAILS.items()}


def _top(name):
    return _FROM + _DATE + f"Subject: hostile: {name}\r\nMIME-Version: 1.0\r\n".encode()


def _multipart(top, kind, body):
    return top + b"Content-Type: multipart/mixed" + kind + b"\r\n\r\n" + body


def _plain(top, header, body):
    return top + header + b"\r\n\r\n" + body


def _nested_multiparts(top, depth=300):
    out = [top]
    for level in range(depth):
        out.append(b'Content-Type: multipart/mixed; boundary="n%d"\r\n\r\n--n%d\r\n' % (level, level))
    out.append(b"Content-Type: text/plain\r\n\r\nthe bottom\r\n")
    out += [b"--n%d--\r\n" % level for level in reversed(range(depth))]
    return b"".join(out)


def _nested_messages(top, depth=200):
    return b"".join([top, *(b"Content-Type: message/rfc822\r\n\r\nSubject: level %d\r\n" % level
                            for level in range(depth)), b"\r\nthe bottom\r\n"])


def _file(top, disposition, kind=b"application/octet-stream"):
    return _multipart(top, b"; boundary=f", b"--f\r\nContent-Type: text/plain\r\n\r\nsee file\r\n--f\r\n"
                      b"Content-Type: " + kind + b"\r\nContent-Disposition: " + disposition
                      + b"\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--f--\r\n")


def _many_parts(top, count=2000):
    return _multipart(top, b"; boundary=m", b"--m\r\nContent-Type: text/plain\r\n\r\nx\r\n" * count + b"--m--\r\n")


# Declared one after the other, no two alike side by side, so that nothing can be joined or kept.
_CHARSETS = (b"iso-2022-jp", b"gb18030", b"big5", b"utf-7", b"koi8-r", b"euc-jp", b"windows-1251", b"iso-2022-kr",
             b"shift_jis", b"euc-kr", b"iso-8859-5", b"utf-16")


def _encoded_words(length):
    words, count = [], 0
    while length > 0:
        words.append(b"=?%s?B?AAAA?=" % _CHARSETS[count % len(_CHARSETS)])
        length -= len(words[-1]) + 3
        count += 1
    return b"\r\n ".join(words)


def _header_section(top, length):
    """A mail whose header section, with the line that ends it, is of so many bytes."""
    header = top + b"Content-Type: text/plain\r\n"
    line = b"X-Fill: " + b"f" * 990 + b"\r\n"
    count, rest = divmod(length - len(header) - 2, len(line))
    if rest < 12:
        count, rest = count - 1, rest + len(line)
    return header + line * count + b"X-End: " + b"e" * (rest - 9) + b"\r\n" + b"\r\nhello\r\n"


def _addresses(top, count):
    return _plain(top + b"Cc: " + b",\r\n ".join(b"p%d@example.org" % n for n in range(count)) + b"\r\n",
                  b"Content-Type: text/plain", b"hello\r\n")


_TWO_PARTS = b"--x\r\nContent-Type: text/plain\r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x--\r\n"

_MAILS = {
    "boundary is a quote": lambda top: _multipart(top, b'; boundary="\\""', b'--"\r\n\r\none\r\n--"--\r\n'),
    "boundary missing": lambda top: _multipart(top, b"", _TWO_PARTS),
    "boundary empty": lambda top: _multipart(top, b'; boundary=""', b"--\r\n\r\none\r\n----\r\n"),
    "boundary of 5000 characters": lambda top: _multipart(
        top, b"; boundary=" + b"x" * 5000, b"--" + b"x" * 5000 + b"\r\n\r\none\r\n--" + b"x" * 5000 + b"--\r\n"),
    "boundary never seen": lambda top: _multipart(top, b"; boundary=y", _TWO_PARTS),
    "boundary shared with the inner part": lambda top: _multipart(
        top, b"; boundary=x", b"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" + _TWO_PARTS * 2),
    "multipart cut short": lambda top: _multipart(top, b"; boundary=x", _TWO_PARTS[:40]),
    "multipart without parts": lambda top: _multipart(top, b"; boundary=x", b"--x--\r\n"),
    "multipart 300 deep": _nested_multiparts,
    "message 200 deep": _nested_messages,
    "2000 parts": _many_parts,
    "multipart that says base64": lambda top: _multipart(
        top + b"Content-Transfer-Encoding: base64\r\n", b"; boundary=x", _TWO_PARTS),
    "base64 broken": lambda top: _plain(
        top, b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64", b"aGVs*!\xffbG8\r\n=g=\r\nd29ybGQ"),
    "quoted-printable broken": lambda top: _plain(
        top, b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable",
        b"=ZZ =4 =\r\n=C3= =C3\r\nend ="),
    "transfer encoding unknown": lambda top: _plain(
        top, b"Content-Type: text/plain\r\nContent-Transfer-Encoding: x-rot13", b"uryyb\r\n"),
    "charset lies utf-8": lambda top: _plain(
        top, b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit",
        b"latin: \xe9\xe8 overlong: \xc0\xaf surrogate: \xed\xa0\x80 end \xf0\x9f\r\n"),
    "charset lies us-ascii": lambda top: _plain(
        top, b"Content-Type: text/plain; charset=us-ascii", "naïve café\r\n".encode()),
    "charset lies utf-16": lambda top: _plain(top, b"Content-Type: text/plain; charset=utf-16", b"odd"),
    "charset unknown": lambda top: _plain(
        top, b"Content-Type: text/plain; charset=x-klingon\r\nContent-Transfer-Encoding: 8bit", b"q\xe1pla'\r\n"),
    "charset of 3000 characters": lambda top: _plain(
        top, b"Content-Type: text/plain; charset=" + b"c" * 3000, b"hello\r\n"),
    "nul bytes": lambda top: _plain(top + b"X-Nul: a\0b\r\n", b"Content-Type: text/plain", b"a\0b\0\0c\r\n"),
    "control characters": lambda top: _plain(
        top + b"X-Bell: \x07\x1b[31mred\x1b[0m\r\nReply-To: =?utf-8?q?a=0D=0ABcc:_victim=40example.org?= <a@b>\r\n",
        b"Content-Type: text/plain", b"\x1b]0;title\x07 \x08\x7f\r\n"),
    "header line of 200 KB": lambda top: _plain(
        top + b"X-Long: " + b"long " * 40_000 + b"\r\n", b"Content-Type: text/plain", b"hello\r\n"),
    "5000 header lines": lambda top: _plain(
        top + b"".join(b"X-H%d: %d\r\n" % (n, n) for n in range(5000)), b"Content-Type: text/plain", b"hello\r\n"),
    "header folded 5000 times": lambda top: _plain(
        top + b"X-Fold: a\r\n" + b" b\r\n" * 5000, b"Content-Type: text/plain", b"hello\r\n"),
    "3000 addresses": lambda top: _plain(
        top + b"Cc: " + b",\r\n ".join(b"Person %d <p%d@example.org>" % (n, n) for n in range(3000)) + b"\r\n",
        b"Content-Type: text/plain", b"hello\r\n"),
    "addresses broken": lambda top: _plain(
        top + b'Cc: <>, "unclosed <a@b>, @, a@@b, (((, Group: a@b, <@x:y@z>, ;;;, \xff@\xfe\r\n'
        b"Reply-To: ,,,,\r\nSender:\r\n", b"Content-Type: text/plain", b"hello\r\n"),
    "3000 references": lambda top: _plain(
        top + b"References: " + b"\r\n ".join(b"<%d@example.net>" % n for n in range(3000))
        + b"\r\nIn-Reply-To: not an id\r\nMessage-ID: <<>>\r\n", b"Content-Type: text/plain", b"hello\r\n"),
    "bare CR": lambda top: _plain(top + b"X-Cr: a\rSubject: b\r\n", b"Content-Type: text/plain", b"a\rb\r\rc\r\n"),
    "only LF": lambda top: _plain(top, b"Content-Type: text/plain", b"hello\r\n").replace(b"\r\n", b"\n"),
    "no header at all": lambda top: b"this mail begins with its body\r\nand has no header\r\n",
    "only a header": lambda top: top.rstrip(b"\r\n"),
    "header without colon": lambda top: top + b"this is no header\r\n: neither this\r\n\r\nhello\r\n",
    "every header twice": lambda top: _plain(
        top * 2 + b"Content-Type: text/html\r\n", b"Content-Type: text/plain", b"<b>hello</b>\r\n"),
    "encoded words broken": lambda top: _plain(
        _FROM + _DATE + b"Subject: hostile: =?utf-8?b?!!!?= =?utf-8?x?abc?= =?nope?q?a=ZZ?= =?utf-8?q?=C3?= =?utf-8?q"
        b"?=00=0A=0D?= =??q?a?= =?utf-8?b?4p\r\n", b"Content-Type: text/plain", b"hello\r\n"),
    "date invalid": lambda top: top.replace(
        _DATE, b"Date: Thu, 32 Foo 99999 25:61:61 +9999\r\n") + b"\r\nhello\r\n",
    "date far away": lambda top: top.replace(_DATE, b"Date: Fri, 31 Dec 9999 23:59:59 -1200\r\n") + b"\r\nhello\r\n",
    "date empty": lambda top: top.replace(_DATE, b"Date:\r\n") + b"\r\nhello\r\n",
    "content type broken": lambda top: _plain(
        top, b'Content-Type: ;/;; =; charset="unclosed; name*0=a; name*2=c; name*x*y=d', b"hello\r\n"),
    "attachment name climbs": lambda top: _file(top, b'attachment; filename="../../etc/passwd"'),
    "attachment name has CR LF": lambda top: _file(
        top, b"attachment; filename*=utf-8''a%0D%0ASet-Cookie:%20x=1%0D%0A%0D%0Ab%00.txt"),
    "attachment name encoded": lambda top: _file(top, b'attachment; filename="=?utf-8?q?a=0D=0A=22b/..=5Cc=00?="'),
    "attachment name of 10 KB": lambda top: _file(top, b'attachment; filename="' + b"n" * 10_000 + b'"'),
    "attachment name pieces": lambda top: _file(
        top, b"attachment; filename*2*=c; filename*0*=utf-8''a%; filename*999999999=z; filename*1=b"),
    "attachment type script": lambda top: _file(top, b"inline; filename=x.html", b"text/html; charset=\"\r\n \""),
    "html with script": lambda top: _plain(
        top, b"Content-Type: text/html; charset=utf-8",
        b"<script>alert(1)</script>" + b"<div>" * 5000 + b"<img src=x onerror=alert(1)>\r\n"),
    "empty message": lambda top: b"\r\n",
    "5000 addresses": lambda top: _addresses(top, 5000),
    "5001 addresses": lambda top: _addresses(top, 5001),
    "addresses in 100000 groups": lambda top: _plain(
        top + b"Cc: " + b"a:\r\n " * 100_000 + b"\r\n", b"Content-Type: text/plain", b"hello\r\n"),
    "addresses of nothing but commas": lambda top: _plain(
        top + b"Cc: " + b"a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,\r\n " * 15_000 + b"\r\n", b"Content-Type: text/plain",
        b"hello\r\n"),
    "names in 12 charsets": lambda top: _plain(
        top + b"Cc: " + b",\r\n ".join(_encoded_words(50_000) + b"\r\n <p%d@example.org>" % n for n in range(9))
        + b"\r\n", b"Content-Type: text/plain", b"hello\r\n"),
    "headers in 12 charsets": lambda top: _plain(
        top + b"".join(b"X-Bomb: " + _encoded_words(60_000) + b"\r\n" for _ in range(16)),
        b"Content-Type: text/plain", b"hello\r\n"),
    "header section of 1 MiB": lambda top: _header_section(top, 1 << 20),
    "header section of 1 MiB and 1": lambda top: _header_section(top, (1 << 20) + 1),
    "100000 references": lambda top: _plain(
        top + b"References: " + b"\r\n ".join(b"<%d@example.net>" % n for n in range(100_000)) + b"\r\n",
        b"Content-Type: text/plain", b"hello\r\n"),
    "10000 parameters": lambda top: _plain(
        top, b"Content-Type: text/plain" + b"".join(b";\r\n name*%d*=x" % n for n in reversed(range(10_000))),
        b"hello\r\n"),
    "comments 100000 deep": lambda top: _plain(
        top.replace(_DATE, b"Date: " + b"(\r\n " * 100_000 + b"\r\n") + b"Reply-To: " + b"(" * 100_000 + b"\r\n",
        b"Content-Type: text/plain", b"hello\r\n"),
    "html of 1000000 open tags": lambda top: _plain(
        top, b"Content-Type: text/html; charset=utf-8", b"<b><p>&lt;" * 300_000 + b"<!-- " + b"-" * 100_000),
    "quoted-printable of nothing": lambda top: _plain(
        top, b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable",
        b"=\r\n" * 300_000 + b"hello"),
    "base64 of garbage": lambda top: _plain(
        top, b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64",
        b"\xff=*!" * 20_000 + b"\r\naGVsbG8=\r\n"),
    "escapes of iso-2022-jp": lambda top: _plain(
        top, b"Content-Type: text/plain; charset=iso-2022-jp", b"\x1b$B\x1b(B" * 100_000 + b"hello\r\n"),
    "charset wants iconv options": lambda top: _plain(
        top, b'Content-Type: text/plain; charset="utf-16//IGNORE//TRANSLIT"', b"hello\r\n"),
    "charset is a path": lambda top: _plain(
        top, b'Content-Type: text/plain; charset="../../../../tmp/evil.so"', b"hello\r\n"),
    "charset lies gb2312": lambda top: _plain(
        top, b"Content-Type: text/plain; charset=gb2312\r\nContent-Transfer-Encoding: 8bit", b"\xa7\x41\xa6\x6e hello\r\n"),
}
