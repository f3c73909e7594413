"""The curl lines that `make run` prints work when they are pasted into a shell."""

import json
import subprocess

import compose
import pytest
import sample
from demo import curl_lines
from dovecot import Dovecot


@pytest.fixture(scope="module")
def pasted(make_server, tmp_path_factory):
    """(what the shell printed, the directory it worked in)"""
    place = tmp_path_factory.mktemp("pasted")
    with Dovecot(tmp_path_factory.mktemp("demo"), {sample.USER: "demo"}) as own:
        sample.load(own, sample.USER)
        server = make_server(ca_file=own.ca_file, default_imap=f"tls://localhost:{own.imaps_port}")
        server.start()
        server.secrets = lambda: [sample.USER]
        done = subprocess.run(["bash", "-e"], input=curl_lines(server.address, own.imaps_port), cwd=place, text=True,
                              capture_output=True, timeout=120)
        server.stop_and_check()
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], place


def test_every_line_answers(pasted):
    answers, _ = pasted
    service, folders, newest, text, patched, accounts, listed = answers
    assert service["version"]
    assert {folder["path"] for folder in folders["items"]} >= {*sample.FOLDERS}
    assert len(newest["items"]) == 10 and newest["items"][0].keys() == {"id", "subject", "from", "seen"}
    assert text["value"].startswith("The report is attached")
    assert patched["subject"] == "Quarterly report" and patched["seen"] is True
    assert accounts["items"][0]["username"] == sample.USER
    assert len(listed["items"]) == 3


def test_the_attachment_is_saved_whole(pasted):
    _, place = pasted
    assert (place / "report.pdf").read_bytes() == compose.pdf("Quarterly report")
