"""Two HTTP clients and a direct IMAP client change one folder at once: every list is right the moment after."""

import random
import threading
import time

import pytest
from support.letters import deliver, ident, received
from support.witness import LISTED, Witness

ME = "/v1/accounts/me"
SECONDS = 5
WORDS = ("alpha", "beta", "$Label1", "gamma")
SYSTEM = {"seen": "\\Seen", "flagged": "\\Flagged", "answered": "\\Answered", "draft": "\\Draft"}


def listed(client, folder="inbox"):
    return [{name: item[name] for name in LISTED} for item in client.messages(folder)]


@pytest.fixture
def clients(api, mailbox):
    return [api.sign_in(mailbox), api.sign_in(mailbox)]


@pytest.fixture
def witness(mailbox):
    with Witness(mailbox) as one:
        yield one


def test_after_each_step_of_three_clients_all_lists_are_the_truth(clients, mailbox, witness):
    """One step at a time, at random: whoever changes, everybody sees it in the next answer."""
    dice = random.Random(7)
    deliver(mailbox, range(30))
    added = 100
    for _ in range(60):
        step = dice.randrange(5)
        items = clients[0].messages()
        truth = witness.look("INBOX")
        if step <= 1 and items:
            client, at = dice.choice(clients), dice.randrange(len(items))
            name, word = dice.choice([*SYSTEM]), dice.choice(WORDS)
            client.patch(f"{ME}/messages/{items[at]['id']}",
                         json={name: dice.random() < 0.6, "keywords": {word: dice.random() < 0.6}}, expect=200)
        elif step == 2 and truth:
            witness.store("INBOX", dice.choice(truth).uid, dice.choice(("+FLAGS", "-FLAGS")), dice.choice([*SYSTEM.values()]),
                          dice.choice(WORDS))
        elif step == 3 and truth:
            witness.expunge("INBOX", dice.choice(truth).uid)
        else:
            deliver(mailbox, [added])
            added += 1
        truth = [one.as_listed() for one in witness.look("INBOX")]
        for client in clients:
            assert listed(client) == truth


def test_three_clients_at_once_never_make_a_list_wrong(clients, mailbox, witness):
    """Each has messages of its own to change, and checks them in the list that follows its change."""
    deliver(mailbox, range(60))
    until, problems = time.monotonic() + SECONDS, []
    uids = {one.message_id: one.uid for one in witness.look("INBOX")}

    def by_http(client, mine):
        dice, ids = random.Random(mine[0]), {item["messageId"]: item["id"] for item in client.messages()}
        while time.monotonic() < until:
            number = dice.choice(mine)
            wanted = {name: dice.random() < 0.5 for name in SYSTEM}
            words = {word: dice.random() < 0.5 for word in WORDS}
            client.patch(f"{ME}/messages/{ids[ident(number)]}", json={**wanted, "keywords": words}, expect=200)
            item = next(item for item in client.messages() if item["messageId"] == ident(number))
            said = {name: item[name] for name in SYSTEM}
            if said != wanted or set(item["keywords"]) != {word for word in words if words[word]}:
                problems.append((number, wanted, words, item))

    def by_imap(mine):
        dice, added = random.Random(1), 1000
        with Witness(mailbox) as own:
            while time.monotonic() < until:
                number = dice.choice(mine)
                wanted = {name for name in SYSTEM if dice.random() < 0.5}
                own.store("INBOX", uids[ident(number)], "FLAGS", *(SYSTEM[name] for name in wanted))
                item = next(item for item in clients[0].messages() if item["messageId"] == ident(number))
                if {name for name in SYSTEM if item[name]} != wanted:
                    problems.append((number, wanted, item))
                new = deliver(mailbox, [added])[0]
                if clients[1].messages()[0]["messageId"] != ident(added):
                    problems.append(("not seen", added))
                own.expunge("INBOX", new)
                if any(item["messageId"] == ident(added) for item in clients[1].messages()):
                    problems.append(("still seen", added))
                added += 1
    run(problems, *((by_http, client, range(20 * number, 20 * number + 20)) for number, client in enumerate(clients)),
        (by_imap, range(40, 60)))
    assert not problems, problems[:3]
    truth = [one.as_listed() for one in witness.look("INBOX")]
    assert listed(clients[0]) == truth
    assert listed(clients[1]) == truth
    assert len(truth) == 60


def test_two_clients_that_change_one_message_agree_with_the_server_in_the_end(clients, mailbox, witness):
    deliver(mailbox, range(4))
    ids = [item["id"] for item in clients[0].messages()]
    until, problems = time.monotonic() + SECONDS / 2, []

    def change(client, seed):
        dice = random.Random(seed)
        while time.monotonic() < until:
            name, value = dice.choice([*SYSTEM]), dice.random() < 0.5
            client.patch(f"{ME}/messages/{dice.choice(ids)}", json={name: value}, expect=200)
    run(problems, (change, clients[0], 1), (change, clients[1], 2), (change, clients[0], 3))
    assert not problems, problems
    truth = [one.as_listed() for one in witness.look("INBOX")]
    for client in clients:
        assert listed(client) == truth


def test_a_list_while_others_write_is_never_torn(clients, mailbox):
    """Messages come in order of time: a list that has one has all before it."""
    until, problems, added = time.monotonic() + SECONDS / 2, [], []

    def deliver_on():
        while time.monotonic() < until:
            deliver(mailbox, [len(added)])
            added.append(received(len(added)))

    def read(client):
        while time.monotonic() < until:
            least = len(added)
            items = client.messages()
            if [item["messageId"] for item in items] != [ident(n) for n in reversed(range(len(items)))] or len(items) < least:
                problems.append((least, [item["messageId"] for item in items][:5]))
    run(problems, (deliver_on,), (read, clients[0]), (read, clients[1]))
    assert not problems, problems[:3]
    assert len(added) > 5


def run(problems, *works):
    """Each in a thread of its own; what they raise is a problem too."""
    def guarded(work, *arguments):
        try:
            work(*arguments)
        except BaseException as failure:
            problems.append(repr(failure)[:1000])
    threads = [threading.Thread(target=guarded, args=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def look_often(clients):
    """From the second look on a connection is believed when the mail server tells it nothing."""
    for client in clients * 3:
        assert len(client.messages()) == 3


def test_what_came_and_went_unseen_by_one_session_is_not_kept_by_it(clients, mailbox, witness):
    """The first session's connection never hears of the message; the mirror did, through the second's."""
    first, second = clients
    deliver(mailbox, range(3))
    look_often(clients)
    uid = deliver(mailbox, [9])[0]
    assert second.messages()[0]["messageId"] == ident(9)
    witness.expunge("INBOX", uid)
    assert len(first.messages()) == 3
    assert len(second.messages()) == 3


def test_a_flag_that_came_and_went_unseen_by_one_session_is_not_kept_by_it(clients, mailbox, witness):
    first, second = clients
    uid = deliver(mailbox, range(3))[1]
    look_often(clients)
    witness.store("INBOX", uid, "+FLAGS", "\\Flagged")
    assert [item["flagged"] for item in second.messages()].count(True) == 1
    witness.store("INBOX", uid, "-FLAGS", "\\Flagged")
    assert not any(item["flagged"] for item in first.messages())
    assert not any(item["flagged"] for item in second.messages())
