"""The sample mailbox of demo@example.com: some sixty mails of the kinds people really have.

`messages()` gives them in the order in which they are to be delivered, oldest first in each folder.
The dates hang on BASE, never on the clock, and every byte is the same on every run, so that tests may
rely on them. `hostile()`, from hostile.py, gives the nasty ones apart.
"""

import functools
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import NamedTuple

import compose
from compose import attached, file, message, multipart, png, text, word
from hostile import hostile  # noqa: F401  (offered here too)

BASE = datetime(2026, 6, 8, 9, 0, tzinfo=timezone.utc)
USER = "demo@example.com"
ME = f"Demo User <{USER}>"
ADA = "Ada Example <ada@example.org>"
BRUNO = "Bruno Muster <bruno@example.net>"
CHLOE = f"{word('Chloé Exemple', encoding='q')} <chloe@example.org>"
TARO = f"{word('山田太郎', 'iso-2022-jp')} <taro@example.net>"
BIG_ATTACHMENT_BYTES = 12 << 20
FOLDERS = ("INBOX", "Sent", "Drafts", "Archive", "Trash", "Junk", "Lists/postern", "Work", "Work/Invoices",
           "Projets/Été 2026", "日本", "Arbeit & Spaß")

SEEN = ("\\Seen",)


class Sample(NamedTuple):
    folder: str
    flags: tuple
    internaldate: datetime
    data: bytes


@functools.cache
def messages():
    everything = [*_thread(), *_letters(), *_newsletters(), *_attachments(), *_charsets(), *_addresses(),
                  *_oddities(), *_machines(), *_mailing_list(), *_own_folders(), *_sent_and_drafts(),
                  *_junk_and_trash()]
    return tuple(sorted(everything, key=lambda sample: sample.internaldate))


def load(server, user):
    """Deliver the sample mailbox to `user` of a dovecot.Dovecot."""
    for folder in FOLDERS:
        server.deliver_many(user, folder, [(sample.flags, sample.internaldate, sample.data)
                                           for sample in messages() if sample.folder == folder])


def find(subject_bytes):
    """The one sample whose bytes hold `subject_bytes`: for tests that want one certain message."""
    found = [sample for sample in messages() if subject_bytes in sample.data]
    if len(found) != 1:
        raise LookupError(f"{len(found)} samples hold {subject_bytes!r}")
    return found[0]


def before(days, hours=0, minutes=0):
    return BASE - timedelta(days=days, hours=hours, minutes=minutes)


def _mail(when, sender, subject, part, *more, to=ME, ident=None):
    """A message with the headers that nearly every mail has; `more` are further header lines."""
    ident = ident or f"{int(when.timestamp())}.{len(part)}@example.com"
    return message([f"Date: {format_datetime(when)}", f"From: {sender}", f"To: {to}",
                    f"Subject: {subject}", f"Message-ID: <{ident}>", *more], part)


def _thread():
    """Twelve mails, each an answer to the one before; the odd ones are ours and lie in Sent."""
    lines = ["Shall we move the spring release to June?", "June is fine for me, if the docs are ready.",
             "Docs need another week. Who reviews them?", "I can, from Thursday on.",
             "Great. Then let us say the 18th.", "The 18th collides with the fair in Lyon.",
             "True! The 22nd then?", "22nd works. I have told support.", "Support asks for a list of changes.",
             "List attached in the wiki, section 4.", "Thank you, that is all they need.",
             "Done then: release on June 22nd. 🎉"]
    idents = [f"release-{number}@example.org" for number in range(len(lines))]
    for number, line in enumerate(lines):
        when = before(9 - number // 2, hours=2 - number % 2)
        more = ["Thread-Topic: Spring release"]
        body = line + "\n"
        if number:
            more += [f"In-Reply-To: <{idents[number - 1]}>",
                     "References: " + "\r\n ".join(f"<{ident}>" for ident in idents[:number])]
            quoted = "".join(f"> {previous}\n" for previous in lines[max(0, number - 3):number])
            body += f"\nOn {before(10 - number // 2):%d %B %Y} somebody wrote:\n{quoted}"
        mine = number % 2 == 1
        data = _mail(when, ME if mine else ADA, ("Re: " if number else "") + "Spring release",
                     text(body, encoding="8bit" if "🎉" in body else "7bit"), *more,
                     to=ADA if mine else ME, ident=idents[number])
        flags = ("\\Seen",) if mine else ("\\Seen", "\\Answered") if number < 10 else ()
        yield Sample("Sent" if mine else "INBOX", flags, when, data)


def _letters():
    flowed = ("This paragraph is long and was written by a program that breaks lines softly, \nso a reader may "
              "fill \nit again to any width.\n\n> quoted text \n> flows too\n\n-- \nBruno\n")
    yield Sample("INBOX", SEEN, before(20), _mail(
        before(20), BRUNO, "A flowed letter", text(flowed, params="; format=flowed; delsp=no", encoding="7bit")))
    yield Sample("INBOX", ("\\Seen", "\\Flagged"), before(15), _mail(
        before(15), CHLOE, word("Réunion de lundi — ordre du jour", encoding="q"),
        text("Bonjour,\n\nvoici l'ordre du jour : œuvres, été, coût prévu 1 200 €.\n\nÀ lundi\nChloé\n")))
    yield Sample("INBOX", (), before(0, hours=3), _mail(
        before(0, hours=3), BRUNO, "Lunch on Wednesday?",
        text("Are you free on Wednesday at half past twelve? The place by the canal is open again.\n\nBruno\n",
             encoding="7bit")))
    yield Sample("INBOX", ("\\Flagged", "urgent"), before(1), _mail(
        before(1), ADA, "Please sign by Friday", text("The form needs your signature by Friday.\n", encoding="7bit"),
        "Importance: high", "X-Priority: 1"))
    yield Sample("INBOX", (), before(0, hours=1), _mail(
        before(0, hours=1), CHLOE, word("🎂 Joyeux anniversaire 👩‍👩‍👧‍👦 !"),
        text("Bon anniversaire ! 🥳🎁 \U0001f1eb\U0001f1f7\n", encoding="8bit")))
    yield Sample("INBOX", SEEN, before(12), _mail(
        before(12), f"{word('דוגמה')} <dugma@example.org>", word("שלום - פגישה ביום שני, مرحبا"),
        text("שלום רב,\n\nהפגישה תתקיים ביום שני ב-10:00.\n\nمرحبا، إلى اللقاء.\n", encoding="base64")))


def _newsletters():
    for number, (title, colour) in enumerate([("Spring offers", (200, 60, 40)), ("Ten gardens to see", (40, 160, 70)),
                                              ("Inside the new reader", (30, 80, 190)), ("Summer reading", (150, 90, 160))]):
        when = before(30 - 7 * number, hours=4)
        html = (f'<html><head><style>h1 {{ color: #345 }}</style></head><body><img src="cid:logo{number}@example.net" '
                f'width="32" height="16" alt="logo"><h1>{title}</h1><p>Hello &amp; welcome to issue {number + 41}.</p>'
                '<p><a href="https://news.example.net/read?id=1&amp;u=2">Read online</a></p>'
                '<img src="https://news.example.net/pixel.gif" width="1" height="1"></body></html>\n')
        logo = file(f"logo{number}.png", "image/png", png(32, 16, *colour), "inline",
                    f"Content-ID: <logo{number}@example.net>\r\n")
        part = multipart("alternative", text(f"{title}\n\nHello & welcome to issue {number + 41}.\n"),
                         multipart("related", text(html, "html"), logo, params='; type="text/html"'))
        yield Sample("INBOX", SEEN if number < 2 else (), when, _mail(
            when, "Example News <news@example.net>", f"{title} (issue {number + 41})", part,
            "List-Id: Example News <news.example.net>",
            "List-Unsubscribe: <https://news.example.net/off?u=2>, <mailto:off@example.net?subject=off>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click", "Precedence: bulk"))


def _attachments():
    yield Sample("INBOX", (), before(0, hours=5), _mail(
        before(0, hours=5), ADA, "Quarterly report", multipart(
            "mixed", text("The report is attached, the numbers too.\n", encoding="7bit"),
            file("report.pdf", "application/pdf", compose.pdf("Quarterly report")),
            file("numbers.csv", "text/csv; charset=utf-8", "month;sum\nmärz;12,5\nmai;14\n".encode()))))
    yield Sample("INBOX", SEEN, before(5), _mail(
        before(5), BRUNO, word("Unterlagen für März"), multipart(
            "mixed", text("Anbei die Unterlagen.\n"),
            file("Übersicht für März – Endfassung (überarbeitet, zweite Lesung).pdf", "application/pdf",
                 compose.pdf("Uebersicht")),
            file("資料.zip", "application/zip", compose.zip_file(a_txt=b"one\n", b_txt=b"two\n" * 100)),
            file("old style.txt", f"text/plain; name=\"{word('älter.txt', encoding='q')}\"", b"old\r\n"))))
    inner = _mail(before(8), BRUNO, "The signed contract", multipart(
        "mixed", text("Here it is.\n", encoding="7bit"),
        file("contract.pdf", "application/pdf", compose.pdf("Contract"))), to=ADA)
    yield Sample("INBOX", ("\\Seen", "$Forwarded"), before(7), _mail(
        before(7), ADA, "Fwd: The signed contract", multipart(
            "mixed", text("See below.\n\nAda\n", encoding="7bit"), attached(inner))))
    yield Sample("INBOX", SEEN, before(6), _mail(
        before(6), ADA, "Holiday pictures", multipart(
            "mixed", text("Three of them.\n", encoding="7bit"),
            *(file(f"picture {n}.png", "image/png", png(64, 48, 60 * n, 250 - 60 * n, 120)) for n in (1, 2, 3)))))
    yield Sample("INBOX", SEEN, before(4), _mail(
        before(4), BRUNO, "The whole recording (12 MB)", multipart(
            "mixed", text("It is large, sorry.\n", encoding="7bit"),
            file("recording.bin", "application/octet-stream", compose.noise(BIG_ATTACHMENT_BYTES)))))
    calendar = ("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Example//Demo//EN\nMETHOD:REQUEST\nBEGIN:VEVENT\n"
                "UID:fair-2026@example.org\nDTSTAMP:20260601T080000Z\nDTSTART:20260618T120000Z\n"
                "DTEND:20260618T130000Z\nSUMMARY:Fair in Lyon\nORGANIZER:mailto:ada@example.org\n"
                "ATTENDEE;RSVP=TRUE:mailto:demo@example.com\nEND:VEVENT\nEND:VCALENDAR\n")
    yield Sample("INBOX", (), before(2), _mail(
        before(2), ADA, "Invitation: Fair in Lyon", multipart(
            "mixed", multipart("alternative", text("You are invited.\n", encoding="7bit"),
                               text("<p>You are <b>invited</b>.</p>\n", "html", encoding="7bit"),
                               text(calendar, "calendar", params="; method=REQUEST")),
            file("invite.ics", "application/ics", calendar.replace("\n", "\r\n").encode()))))


def _charsets():
    yield Sample("INBOX", SEEN, before(18), _mail(
        before(18), TARO, word("来週の会議のお知らせと資料の送付について", "iso-2022-jp"),
        text("山田です。\n\n来週の会議は水曜日です。\n", charset="iso-2022-jp", encoding="7bit")))
    yield Sample("INBOX", SEEN, before(17), _mail(
        before(17), f"{word('Дмитрий Пример', 'koi8-r')} <dmitri@example.net>",
        word("Отчёт за май", "koi8-r"), text("Здравствуйте!\n\nОтчёт готов.\n", charset="koi8-r", encoding="8bit")))
    yield Sample("INBOX", SEEN, before(16), _mail(
        before(16), ADA, word("“Smart” quotes – 50 €", "windows-1252", "q"),
        text("It costs 50 € – “as agreed”.\n", charset="windows-1252")))
    yield Sample("INBOX", SEEN, before(14), _raw(
        before(14), "Subject: Raw latin-1: café für Größe".encode("latin-1"), b"From: Andr\xe9 <andre@example.net>"))
    yield Sample("INBOX", SEEN, before(13), _raw(
        before(13), "Subject: Raw utf-8: žluťoučký kůň 你好".encode(), "From: Zoë Example <zoe@example.org>".encode()))


def _raw(when, *lines):
    return message([f"Date: {format_datetime(when)}", *lines, f"To: {USER}"],
                   text("Its header is 8-bit and not encoded.\n", encoding="7bit"))


def _addresses():
    yield Sample("INBOX", SEEN, before(11), _mail(
        before(11), BRUNO, "To nobody in particular", text("Hidden recipients.\n", encoding="7bit"),
        to="undisclosed-recipients:;"))
    yield Sample("INBOX", SEEN, before(11, hours=2), _mail(
        before(11, hours=2), ADA, "To the whole team", text("Hello team.\n", encoding="7bit"),
        "Cc: \"Muster, Bruno\" <bruno@example.net>, plain@example.org,\r\n \"quoted \\\"nick\\\" name\" <q@example.org>",
        "Reply-To: Team <team@example.org>", "Sender: Assistant Desk <desk@example.org>",
        to="Team: Ada Example <ada@example.org>, bruno@example.net;, " + ME))


def _oddities():
    body = text("Something is missing above.\n", encoding="7bit")
    yield Sample("INBOX", SEEN, before(10, hours=1), message(
        [f"From: {BRUNO}", f"To: {ME}", "Subject: No date here"], body))
    yield Sample("INBOX", SEEN, before(10, hours=2), message(
        [f"Date: {format_datetime(before(10))}", f"To: {ME}", "Subject: No sender here"], body))
    yield Sample("INBOX", SEEN, before(10, hours=3), b"\r\nOnly a body, no header at all.\r\n")
    yield Sample("INBOX", (), before(10, hours=4), message(
        [f"Date: {format_datetime(before(10))}", f"From: {BRUNO}", f"To: {ME}"], body))


def _machines():
    signature = file("signature.asc", "application/pgp-signature",
                     b"-----BEGIN PGP SIGNATURE-----\n\nbm90IGEgcmVhbCBzaWduYXR1cmU=\n-----END PGP SIGNATURE-----\n")
    yield Sample("INBOX", SEEN, before(9, hours=6), _mail(
        before(9, hours=6), ADA, "A signed statement", multipart(
            "signed", text("I said so.\n", encoding="7bit"), signature,
            params='; micalg=pgp-sha256;\r\n protocol="application/pgp-signature"')))
    report = (b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\n"
              b"Final-Recipient: rfc822; nobody@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n"
              b"Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n")
    returned = b"Content-Type: text/rfc822-headers\r\n\r\nSubject: Hello?\r\nTo: nobody@example.net\r\n"
    yield Sample("INBOX", SEEN, before(3), _mail(
        before(3), "Mail Delivery System <MAILER-DAEMON@mx.example.net>", "Undelivered Mail Returned to Sender",
        multipart("report", text("Your mail could not be delivered to nobody@example.net.\n", encoding="7bit"),
                  report, returned, params="; report-type=delivery-status"),
        "Auto-Submitted: auto-replied", "Return-Path: <>"))
    yield Sample("INBOX", (), before(0, minutes=20), _mail(
        before(0, minutes=20), "Build Service <build@example.com>", "[build] main: 214 passed, 0 failed",
        multipart("mixed", text("All is well.\n", encoding="7bit"),
                  file("build.log", "text/plain; charset=utf-8", b"compiling\r\n" * 400, "inline")),
        "Auto-Submitted: auto-generated"))


def _mailing_list():
    parent = None
    for number in range(6):
        when = before(25 - 3 * number)
        ident = f"list-{number}@lists.example.org"
        more = ["List-Id: Postern users <postern.lists.example.org>", "List-Post: <mailto:postern@lists.example.org>",
                "List-Unsubscribe: <mailto:postern-leave@lists.example.org>",
                "List-Archive: <https://lists.example.org/postern>", "Precedence: list"]
        if parent:
            more += [f"In-Reply-To: <{parent}>", f"References: <list-0@lists.example.org>\r\n <{parent}>"]
        yield Sample("Lists/postern", SEEN if number < 4 else (), when, _mail(
            when, [ADA, BRUNO, CHLOE][number % 3], ("Re: " if parent else "") + "[postern] Paging through big folders",
            text(f"Answer number {number}.\n\n-- \npostern mailing list\n", encoding="7bit"), *more,
            to="Postern users <postern@lists.example.org>", ident=ident))
        parent = ident


def _own_folders():
    for number in range(5):
        when = before(120 - 30 * number)
        yield Sample("Work/Invoices", SEEN if number < 4 else (), when, _mail(
            when, "Billing <billing@example.net>", f"Invoice 2026-{number + 1:03d}", multipart(
                "mixed", text(f"Please find invoice {number + 1} attached.\n", encoding="7bit"),
                file(f"invoice-{number + 1:03d}.pdf", "application/pdf", compose.pdf(f"Invoice {number + 1}")))))
    yield Sample("Work", SEEN, before(40), _mail(
        before(40), ADA, "Desk plan", text("You sit by the window now.\n", encoding="7bit")))
    yield Sample("Projets/Été 2026", SEEN, before(33), _mail(
        before(33), CHLOE, word("Été 2026 : le plan"), text("Le plan est prêt.\n")))
    yield Sample("Projets/Été 2026", ("\\Flagged",), before(22), _mail(
        before(22), CHLOE, word("Été 2026 : budget", encoding="q"), text("Budget : 3 000 €.\n")))
    yield Sample("日本", SEEN, before(50), _mail(
        before(50), TARO, word("東京のホテル"), text("ホテルを予約しました。\n", charset="shift_jis", encoding="base64")))
    yield Sample("日本", (), before(19), _mail(
        before(19), TARO, word("写真", "iso-2022-jp"), multipart(
            "mixed", text("写真です。\n"), file("写真.png", "image/png", png(40, 40, 220, 30, 60)))))
    yield Sample("Arbeit & Spaß", SEEN, before(28), _mail(
        before(28), BRUNO, word("Kegelabend am Donnerstag: wer kommt? Grüße", "iso-8859-1", "q"),
        text("Wir kegeln wieder. Schöne Grüße\n", charset="iso-8859-1")))
    for number in range(4):
        when = before(400 + 90 * number)
        yield Sample("Archive", SEEN, when, _mail(
            when, [ADA, BRUNO][number % 2], f"Old matter {number + 1}", text("Long done.\n", encoding="7bit")))


def _sent_and_drafts():
    yield Sample("Sent", SEEN, before(1, hours=3), _mail(
        before(1, hours=3), ME, word("Réponse : réunion"), text("D'accord pour lundi.\n"), to=CHLOE))
    yield Sample("Drafts", ("\\Draft", "\\Seen"), before(0, hours=2), message(
        [f"Date: {format_datetime(before(0, hours=2))}", f"From: {ME}", "Subject: Unfinished thought",
         f"Bcc: {BRUNO}"], text("I wanted to say that\n", encoding="7bit")))
    yield Sample("Drafts", ("\\Draft",), before(3, hours=2), message(
        [f"From: {ME}"], text("", encoding="7bit")))


def _junk_and_trash():
    yield Sample("Junk", ("$Junk",), before(2, hours=7), _mail(
        before(2, hours=7), "=?utf-8?q?Pr=D1=96ze_Office?= <win@example.net>", word("You WON!!! 💰💰💰"),
        text("<font size=7><a href='http://203.0.113.9/x'>CLICK</a></font>\n", "html", encoding="7bit"),
        "X-Spam-Flag: YES", "X-Spam-Score: 14.2"))
    yield Sample("Junk", ("$Junk", "\\Seen"), before(6, hours=7), _mail(
        before(6, hours=7), "seller@example.net", "Cheap watches", text("Buy now.\n", encoding="7bit")))
    yield Sample("Trash", SEEN, before(9, hours=9), _mail(
        before(9, hours=9), BRUNO, "Not needed any more", text("Forget it.\n", encoding="7bit")))
    yield Sample("Trash", ("\\Seen", "\\Deleted"), before(8, hours=9), _mail(
        before(8, hours=9), BRUNO, "Deleted, not expunged", text("Half gone.\n", encoding="7bit")))
