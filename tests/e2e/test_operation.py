"""The program as its operator sees it: command line, settings, start, log, stop."""

import contextlib
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
import sample
from conftest import BINARY
from support.client import Client
from support.server import environment


def run(*flags, **variables):
    """The program to its end: (exit code, stdout, stderr)."""
    done = subprocess.run([BINARY, *map(str, flags)], env=environment(**variables), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout, done.stderr


def effective(*flags, **variables):
    """{setting: (value, where from)} by --check-config."""
    code, out, err = run("--check-config", *flags, **variables)
    assert code == 0, err
    return {name: (value.strip(), source) for name, value, source
            in re.findall(r"^(\w+) =(.*) ; (.*)$", out, re.M)}


# ---- command line ----
def test_without_arguments_it_says_how_to_use_it():
    code, out, err = run()
    assert (code, out) == (2, "") and "postern serve" in err


def test_version_is_one_line():
    code, out, err = run("--version")
    assert code == 0 and re.fullmatch(r"postern \d+\.\d+\.\d+\n", out) and err == ""


def test_help_mentions_every_setting():
    code, out, _ = run("--help")
    assert code == 0
    for name in effective():
        assert f"--{name.replace('_', '-')}=" in out


@pytest.mark.parametrize("words", [["sarve"], ["--frobnicate"], ["--version", "--help"], ["--queue-max=3"]])
def test_a_command_line_that_makes_no_sense_is_refused(words):
    code, out, err = run(*words)
    assert code == 2 and out == "" and err.startswith("postern")


# ---- settings ----
def test_settings_have_defaults_and_say_so():
    settings = effective()
    assert settings["listen"] == ("127.0.0.1:8025", "default")
    assert settings["mirror_days"] == ("30", "default")
    assert settings["mirror"] == ("disk", "default")
    assert settings["allowed_hosts"] == ("", "default")


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path):
    file = tmp_path / "postern.ini"
    file.write_text("# comment\nlisten = 127.0.0.1:1001\nrequest_timeout = 7\n[postern]\nfirst_page = 11 ; behind\n")
    settings = effective("--config", file, "--listen=127.0.0.1:1003",
                         POSTERN_LISTEN="127.0.0.1:1002", POSTERN_REQUEST_TIMEOUT="2m")
    assert settings["listen"] == ("127.0.0.1:1003", "--listen")
    assert settings["request_timeout"] == ("2m", "environment")
    assert settings["first_page"] == ("11", f"{file} line 5")


def test_a_long_list_of_hosts_fits_into_one_line_of_the_file(tmp_path):
    hosts = ",".join(f"mail{number}.example.com:993" for number in range(1000))
    file = tmp_path / "postern.ini"
    file.write_text(f"allowed_hosts = {hosts}\n")
    assert effective("--config", file)["allowed_hosts"][0] == hosts


def test_what_check_config_prints_can_be_used_as_the_file(tmp_path):
    file = tmp_path / "postern.ini"
    file.write_text(run("--check-config", "--queue-max=7", "--default-imap=tls://mail.example.com")[1])
    settings = effective("--config", file)
    assert settings["queue_max"][0] == "7" and settings["default_imap"][0] == "tls://mail.example.com:993"


def test_a_value_can_stand_in_a_file_named_by_the_environment(tmp_path):
    (tmp_path / "days").write_text("12\n")
    assert effective(POSTERN_MIRROR_DAYS_FILE=tmp_path / "days")["mirror_days"] == ("12", "environment")


@pytest.mark.parametrize("given, shown", [
    ("--request-timeout=90", "1m30s"), ("--request-timeout=1500ms", "1500ms"), ("--header-bytes-max=64K", "64K"),
    ("--header-bytes-max=65536", "64K"), ("--session-idle=2h", "2h"), ("--mail-command-bytes-max=2G", "2G")])
def test_units_are_understood(given, shown):
    name = given[2:].split("=")[0].replace("-", "_")
    assert effective(given)[name][0] == shown.replace("1m30s", "90s")


@pytest.mark.parametrize("given, shown", [
    ("tls://mail.example.com", "tls://mail.example.com:993"), ("starttls://mail.example.com", "starttls://mail.example.com:143"),
    ("tls://mail.example.com:995", "tls://mail.example.com:995")])
def test_a_default_server_gets_its_protocols_port(given, shown):
    assert effective(f"--default-imap={given}")["default_imap"][0] == shown
    assert effective("--default-pop3=tls://mail.example.com")["default_pop3"][0] == "tls://mail.example.com:995"


def test_every_mistake_is_named_at_once(tmp_path):
    file = tmp_path / "postern.ini"
    file.write_text("mirror = floppy\nmirror_days = 3\nmirror_days = 4\nnonsense = 1\nlonely\n[http]\nqueue_max = 5\n")
    code, out, err = run("serve", "--config", file, "--queue-max=0", "--listen=nowhere", "--bogus=1", "--first-page",
                         "--allowed-hosts=not a host!", "--ca-file", tmp_path / "absent.pem",
                         POSTERN_LOG_LEVEL="loud", POSTERN_LISTENN="x", POSTERN_SESSION_IDLE_FILE=tmp_path / "absent",
                         POSTERN_DEFAULT_IMAP="tls://user:hunter2@mail.example.com")
    assert (code, out) == (2, "")
    for part in ("line 1: mirror: \"floppy\"", "line 3: mirror_days: is given twice", "line 4: nonsense: no such",
                 "line 5: lonely: no such", "[http]", "--queue-max: \"0\"", "listen: \"nowhere\"", "--bogus: no such",
                 "--first-page: has no value", "allowed_hosts:", "ca_file:", "POSTERN_LOG_LEVEL: \"loud\"",
                 "POSTERN_LISTENN: no such", "POSTERN_SESSION_IDLE_FILE:", "POSTERN_DEFAULT_IMAP:"):
        assert part in err, part
    assert "15 mistakes" in err
    assert "hunter2" not in err


def test_a_file_that_is_not_there_is_a_mistake(tmp_path):
    code, _, err = run("--check-config", "--config", tmp_path / "absent.ini")
    assert code == 2 and "absent.ini: No such file" in err


@pytest.mark.parametrize("flag", [
    "--listen=127.0.0.1", "--listen=127.0.0.1:70000", "--listen=unix:relative", "--listen=", "--listen=mail.example.com:1",
    "--request-timeout=3x", "--request-timeout=-1", "--request-timeout=99999999999999999999", "--header-bytes-max=1",
    "--mirror=tape", "--default-imap=imap://mail.example.com", "--default-imap=tls://", "--default-imap=tls://[::1",
    "--default-imap=tls://mail.example.com:0", "--default-imap=tls://127.0.0.1", "--mirror-days=ten"])
def test_a_bad_value_is_refused_with_its_name(flag):
    code, _, err = run("serve", flag)
    assert code == 2 and flag[2:].split("=")[0].replace("-", "_") in err.replace("-", "_")


# ---- start ----
def test_a_second_start_on_the_same_data_directory_says_who_holds_it(server):
    code, out, err = run("serve", "--listen=127.0.0.1:0", f"--data-dir={server.data_dir}")
    assert (code, out) == (1, "") and str(server.pid) in err
    assert [line for line in err.splitlines() if line.startswith("postern: ")]


def test_an_address_in_use_is_one_clear_line(server, tmp_path):
    code, _, err = run("serve", f"--listen={server.address}", f"--data-dir={tmp_path}")
    assert code == 1 and f"postern: {server.address}: " in err and "in use" in err.lower()


def test_a_data_directory_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run("serve", "--listen=127.0.0.1:0", f"--data-dir={tmp_path}/file/data")
    assert code == 1 and f"postern: {tmp_path}/file/data: " in err


def test_what_it_keeps_is_for_its_user_alone(server, demo_basic):
    demo_basic.get("/v1/accounts/me/folders", expect=200)
    assert server.data_dir.stat().st_mode & 0o077 == 0 or all(
        path.stat().st_mode & 0o077 == 0 for path in server.data_dir.iterdir())
    for path in server.data_dir.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_it_listens_on_a_unix_socket(start_server, tmp_path):
    running = start_server(listen=f"unix:{tmp_path}/p.sock")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{tmp_path}/p.sock")
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
    assert run("--health", f"--listen=unix:{tmp_path}/p.sock")[0] == 0
    assert running.stop() == 0


# ---- running ----
def test_it_is_alive_and_ready(api):
    api.get("/healthz", expect=200)
    api.get("/readyz", expect=200)


def test_health_asks_the_running_server(server):
    assert run("--health", f"--listen={server.address}")[0] == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        code, _, err = run("--health", f"--listen=127.0.0.1:{taken.getsockname()[1]}")
    assert code == 1 and "postern: " in err


def test_metrics_have_names_with_units_and_count_requests(api, demo_basic):
    demo_basic.get("/v1/accounts/me/folders", expect=200)
    answer = api.get("/metrics", expect=200)
    assert answer.content_type == "text/plain"
    samples = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if line and not line.startswith("#"))
    durations = {name: value for name, value in samples.items() if "request_duration_seconds_count" in name}
    assert sum(float(value) for value in durations.values()) >= 1
    assert all("route=" in name for name in durations)
    assert all(name.startswith("postern_") for name in samples)
    families = {line.split()[2]: line.split()[3] for line in answer.text.splitlines() if line.startswith("# TYPE ")}
    assert "histogram" in families.values() and "gauge" in families.values() and "counter" in families.values()


def test_a_request_leaves_one_log_line_with_its_id(server, demo_basic):
    demo_basic.get("/v1/accounts/me/folders", headers={"X-Request-Id": "logged-once-17"}, expect=200)
    deadline = time.monotonic() + 5
    lines = []
    while not lines and time.monotonic() < deadline:
        lines = [line for line in server.log_lines() if "logged-once-17" in line.values()]
        time.sleep(0.01)
    assert len(lines) == 1
    assert 200 in lines[0].values() and lines[0]["level"] == "info"
    assert "route" in lines[0] and lines[0]["time"].endswith("Z")


# ---- stop ----
def big_part(client):
    """Path and size of the sample's 12 MB attachment."""
    for folder in sample.FOLDERS:
        key = "inbox" if folder == "INBOX" else f"path:{folder}"
        for message in client.messages(key, fields="id,size"):
            if message["size"] > sample.BIG_ATTACHMENT_BYTES:
                path = f"/v1/accounts/me/messages/{message['id']}"
                part = client.get(path, query={"fields": "attachments"}, expect=200).json["attachments"][0]
                return f"{path}/parts/{part['id']}"
    raise AssertionError("the sample has no big attachment")


def test_sigterm_lets_a_running_download_finish(start_server, demo):
    running = start_server(drain_timeout="30s")
    client = Client(running, mailbox=demo)
    path = big_part(client)
    with client.stream(path) as response:
        assert response.status == 200
        got = len(response.read(100_000))
        running.signal(signal.SIGTERM)
        running.wait_for_event("stopping")
        while block := response.read(1_000_000):
            got += len(block)
            time.sleep(0.05)
    assert got == sample.BIG_ATTACHMENT_BYTES
    assert running.wait() == 0


def test_a_download_that_outlasts_the_grace_period_is_cut(start_server, demo):
    running = start_server(drain_timeout="500ms")
    client = Client(running, mailbox=demo)
    with client.stream(big_part(client)) as response:
        response.read(1000)
        started = time.monotonic()
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        assert 0.4 < time.monotonic() - started < 10


def test_after_sigterm_nothing_new_is_taken(start_server, demo):
    running = start_server(drain_timeout="30s")
    client = Client(running, mailbox=demo)
    with client.stream(big_part(client)) as response:
        response.read(1000)
        running.signal(signal.SIGTERM)
        running.wait_for_event("stopping")
        time.sleep(0.2)
        with contextlib.suppress(OSError):
            late = Client(running).raw(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", timeout_s=5)
            assert not late or b" 503 " in late.split(b"\r\n")[0]
        response.read()
    assert running.wait() == 0


def test_a_second_signal_ends_it_at_once(start_server, demo):
    running = start_server(drain_timeout="60s")
    running.expect_exit = 1
    client = Client(running, mailbox=demo)
    with client.stream(big_part(client)) as response:
        response.read(1000)
        running.signal(signal.SIGTERM)
        running.wait_for_event("stopping")
        time.sleep(0.2)
        running.signal(signal.SIGTERM)
        assert running.wait(5) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_idle_server_stops_quickly(start_server, number):
    running = start_server()
    started = time.monotonic()
    running.signal(number)
    assert running.wait(10) == 0
    assert time.monotonic() - started < 5
    assert [line["event"] for line in running.log_lines() if line["event"] in ("started", "stopping", "stopped")] == [
        "started", "stopping", "stopped"]


def test_requests_in_flight_at_sigterm_are_answered(start_server, demo):
    running = start_server()
    statuses = []

    def ask():
        statuses.append(Client(running, mailbox=demo).get("/v1/accounts/me/folders").status)
    Client(running, mailbox=demo).get("/v1/accounts/me/folders", expect=200)
    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(0.02)
    assert running.stop() == 0
    for thread in threads:
        thread.join(30)
    # A connection that came too late is refused or closed, which raises in its thread.
    assert all(status in (200, 503) for status in statuses)


def test_it_starts_again_where_it_stopped(start_server, demo):
    first = start_server()
    account = Client(first, mailbox=demo).get("/v1/accounts/me", expect=200).json["id"]
    message = Client(first, mailbox=demo).messages("inbox", fields="id")[0]["id"]
    assert first.stop() == 0
    second = start_server(data_dir=first.data_dir)
    assert Client(second, mailbox=demo).get("/v1/accounts/me", expect=200).json["id"] == account
    Client(second, mailbox=demo).get(f"/v1/accounts/me/messages/{message}", expect=200)


def test_kill_9_leaves_nothing_that_hinders_the_next_start(start_server, demo):
    first = start_server()
    first.expect_exit = -signal.SIGKILL
    Client(first, mailbox=demo).messages("inbox", fields="id")
    first.signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    second = start_server(data_dir=first.data_dir)
    assert Client(second, mailbox=demo).messages("inbox", fields="id")
