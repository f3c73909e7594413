"""Bytes of mail from small pieces: parts, multiparts, messages, and little files to attach.

Python's email package is not used to write mail: it mends what the sample needs broken, and it picks
boundaries at random. A part is bytes (its headers, an empty line, its body); a message is a part with more
headers in front. Everything is deterministic.
"""

import base64
import hashlib
import io
import quopri
import random
import struct
import zipfile
import zlib
from urllib.parse import quote


def word(text, charset="utf-8", encoding="b"):
    """RFC 2047 encoded words for `text`, folded between words, none over 75 characters."""
    words, piece = [], ""
    for character in text:
        if len(_word(piece + character, charset, encoding)) > 75:
            words.append(_word(piece, charset, encoding))
            piece = ""
        piece += character
    return "\r\n ".join([*words, _word(piece, charset, encoding)])


def _word(text, charset, encoding):
    data = text.encode(charset)
    if encoding == "b":
        return f"=?{charset}?b?{base64.b64encode(data).decode()}?="
    packed = "".join(chr(byte) if chr(byte).isascii() and chr(byte).isalnum()
                     else "_" if byte == 0x20 else f"={byte:02X}" for byte in data)
    return f"=?{charset}?q?{packed}?="


def message(fields, part):
    """A message of header lines ("Name: value" in str or bytes, in order) and a part."""
    lines = [field.encode("ascii") if isinstance(field, str) else field for field in fields]
    return b"\r\n".join([*lines, b"MIME-Version: 1.0", part])


def text(content, subtype="plain", charset="utf-8", encoding="quoted-printable", params=""):
    data = content.replace("\r\n", "\n").replace("\n", "\r\n").encode(charset)
    return _part(f"text/{subtype}; charset={charset}{params}", encoding, data)


def file(name, kind, data, disposition="attachment", extra=""):
    """A base64 part with a file name; one that is not ASCII is written as RFC 2231 says."""
    return _part(kind, "base64", data,
                 f"Content-Disposition: {disposition};\r\n {filename(name)}\r\n" + extra)


def filename(name):
    if name.isascii():
        return f'filename="{name}"'
    units = [quote(character, safe="") for character in name]
    pieces = [""]
    for unit in units:
        if len(pieces[-1] + unit) > 50:
            pieces.append("")
        pieces[-1] += unit
    if len(pieces) == 1:
        return f"filename*=utf-8''{pieces[0]}"
    return ";\r\n ".join(("filename*0*=utf-8''" if n == 0 else f"filename*{n}*=") + piece
                         for n, piece in enumerate(pieces))


def multipart(subtype, *parts, params="", preamble=b""):
    boundary = "b-" + hashlib.sha256(b"".join(parts)).hexdigest()[:20]
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part.rstrip(b"\r\n") + b"\r\n" for part in parts)
    return (f'Content-Type: multipart/{subtype}; boundary="{boundary}"{params}\r\n\r\n'.encode()
            + preamble + body + f"--{boundary}--\r\n".encode())


def attached(inner):
    """A whole message as a message/rfc822 part."""
    return b"Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n" + inner


def _part(kind, encoding, data, extra=""):
    if encoding == "base64":
        data = base64.encodebytes(data).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        data = quopri.encodestring(data.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    return (f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n{extra}\r\n".encode("ascii")
            + data)


def png(width, height, red, green, blue):
    """A small PNG: the colour, darker towards the right."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    row = b"\0" + b"".join(bytes(value * (2 * width - x) // (2 * width) for value in (red, green, blue))
                           for x in range(width))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(row * height, 9)) + chunk(b"IEND", b""))


def pdf(line):
    """A one-page PDF that says `line` (ASCII without parentheses)."""
    stream = f"BT /F1 24 Tf 72 720 Td ({line}) Tj ET".encode()
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
               b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
               b" /Resources << /Font << /F1 5 0 R >> >> >>",
               b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
               b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    out, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return (out + b"xref\n0 6\n0000000000 65535 f \n" + table
            + b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(out))


def zip_file(**members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name.replace("_", "."), (2026, 1, 2, 3, 4, 6)), content)
    return packed.getvalue()


def noise(size, seed=1):
    """`size` bytes that do not compress, the same each time."""
    return random.Random(seed).randbytes(size)
