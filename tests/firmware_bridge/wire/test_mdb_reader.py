"""A cashless device block by block: what it says waits for its ACK, and a yes is a yes only behind it."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware_bridge.wire.mdb import ACK, ALWAYS_IDLE, NAK, Answer, Command, Reply, Word, encode, parse_answer
from firmware_bridge.wire.mdb_cashless import APPROVED, State, Step, Vend
from firmware_bridge.wire.mdb_reader import CashlessReader, Making

SETUP = Command(Word.SETUP, data=bytes.fromhex("02000002"))
REQUEST = Command(Word.VEND_REQUEST, 10, 6)
POLL = encode(Command(Word.POLL))


class Bus:
    """A machine that says one word after the other; `ended` are the ends of approved vends."""

    def __init__(self, **making) -> None:
        self.reader = CashlessReader(Making(**making))
        self.ended: list[Vend] = []

    def say(self, *words: Command) -> None:
        for word in words:
            heard = self.reader.hear(encode(word))
            assert heard.reply == ACK
            self.note(heard.happened)

    def note(self, happened) -> None:
        self.ended += [one.vend for one in happened if one.vend is not None]

    def poll(self, *, ack: bool = True) -> Answer | None:
        reply = self.reader.hear(POLL).reply
        if ack and reply != ACK:
            self.note(self.reader.hear(ACK).happened)
        return None if reply == ACK else parse_answer(reply)

    def enabled(self) -> "Bus":
        assert self.poll() == Answer(Reply.JUST_RESET)
        self.say(SETUP)
        assert self.poll().reply is Reply.CONFIG
        self.say(Command(Word.READER_ENABLE))
        assert self.reader.state is State.ENABLED
        return self

    def asked(self) -> "Bus":
        self.enabled().reader.begin(20_000)
        assert self.poll().amount == 20_000
        self.say(REQUEST)
        assert self.reader.state is State.ASKED
        return self

    def vending(self) -> "Bus":
        self.asked().reader.approve(10)
        assert self.poll() == Answer(Reply.APPROVED, 10)
        assert self.reader.state is State.VENDING
        return self


def test_a_sale_as_in_the_log():
    bus = Bus().vending()
    bus.say(Command(Word.VEND_SUCCESS, item=6), Command(Word.SESSION_COMPLETE))
    assert bus.ended == [Vend.DONE]
    assert bus.poll() == Answer(Reply.END_SESSION)
    assert bus.reader.state is State.ENABLED
    assert bus.poll() is None


def test_the_configuration_is_the_one_of_the_log():
    bus = Bus(currency=0x1643, timeout_s=45)
    bus.poll()
    bus.say(SETUP)
    assert bus.poll().data[:6] == bytes.fromhex("01164301022D")


def test_an_approval_is_repeated_until_it_is_acknowledged():
    bus = Bus().asked()
    bus.reader.approve(10)
    for _ in range(3):
        assert bus.poll(ack=False) == Answer(Reply.APPROVED, 10)
        assert bus.reader.state is State.APPROVING
    assert parse_answer(bus.reader.hear(NAK).reply) == Answer(Reply.APPROVED, 10)
    assert bus.poll() == Answer(Reply.APPROVED, 10)
    assert bus.reader.state is State.VENDING
    assert bus.poll() is None


def test_a_reset_takes_an_approval_back_that_was_not_acknowledged():
    bus = Bus().asked()
    bus.reader.approve(10)
    bus.poll(ack=False)
    bus.say(Command(Word.RESET))
    assert bus.ended == [Vend.FAILED]
    assert bus.poll() == Answer(Reply.JUST_RESET)
    assert bus.poll() is None


@pytest.mark.parametrize("acked", [False, True])
def test_of_a_cancel_and_an_approval_the_first_wins(acked):
    bus = Bus().asked()
    bus.reader.approve(10)
    bus.poll(ack=acked)
    bus.say(Command(Word.VEND_CANCEL))
    if acked:
        assert bus.ended == []
        assert bus.reader.state is State.VENDING
        assert bus.poll() == Answer(Reply.OUT_OF_SEQUENCE)
    else:
        assert bus.ended == [Vend.FAILED]
        assert bus.poll() == Answer(Reply.DENIED)
        assert bus.reader.state is State.IDLE


def test_an_ack_for_an_approval_that_was_taken_back_means_nothing():
    bus = Bus().asked()
    bus.reader.approve(10)
    bus.poll(ack=False)
    bus.say(Command(Word.VEND_CANCEL))
    assert bus.reader.hear(ACK).happened == ()
    assert bus.poll() == Answer(Reply.DENIED)


def test_end_session_is_held_until_it_is_acknowledged():
    bus = Bus().vending()
    bus.say(Command(Word.VEND_SUCCESS, item=6), Command(Word.SESSION_COMPLETE))
    for _ in range(3):
        assert bus.poll(ack=False) == Answer(Reply.END_SESSION)
        assert bus.reader.state is State.ENDING
    bus.poll()
    assert bus.reader.state is State.ENABLED


@pytest.mark.parametrize("says", [Command(Word.SESSION_COMPLETE), Command(Word.RESET)])
def test_no_result_is_a_doubt(says):
    bus = Bus().vending()
    bus.say(says)
    assert bus.ended == [Vend.UNKNOWN]


def test_silence_of_the_bus_is_a_doubt():
    bus = Bus().vending()
    bus.note(bus.reader.silence())
    assert bus.ended == [Vend.UNKNOWN]
    assert bus.reader.state is State.INACTIVE


def test_whether_the_end_of_a_session_means_success_is_a_setting():
    bus = Bus(complete_is_success=True).vending()
    bus.say(Command(Word.SESSION_COMPLETE))
    assert bus.ended == [Vend.DONE]


def test_several_vends_in_a_session():
    bus = Bus().vending()
    bus.say(Command(Word.VEND_FAILURE), REQUEST)
    bus.reader.approve(10)
    bus.poll()
    bus.say(Command(Word.VEND_SUCCESS, item=6))
    assert bus.ended == [Vend.FAILED, Vend.DONE]
    assert bus.reader.state is State.IDLE


def test_a_word_said_again_because_its_ack_was_lost_changes_nothing():
    bus = Bus().vending()
    bus.say(Command(Word.VEND_SUCCESS, item=6), Command(Word.VEND_SUCCESS, item=6))
    assert bus.ended == [Vend.DONE]
    assert bus.poll() is None


def test_always_idle_is_asked_without_a_session_only_where_it_was_agreed():
    bus = Bus(level=3, always_idle=True).enabled()
    bus.say(Command(Word.REQUEST_ID, data=bytes(29)))
    assert bus.poll().data[29:] == ALWAYS_IDLE
    bus.say(Command(Word.ENABLE_OPTIONS, data=ALWAYS_IDLE), REQUEST)
    assert bus.reader.state is State.ASKED
    plain = Bus(level=3).enabled()
    plain.say(REQUEST)
    assert plain.reader.state is State.ENABLED
    assert plain.poll() == Answer(Reply.OUT_OF_SEQUENCE, data=b"\x02")


def test_denied_revalue_cash_and_the_ways_to_end():
    bus = Bus().asked()
    bus.note(bus.reader.deny())
    assert bus.poll() == Answer(Reply.DENIED)
    bus.say(Command(Word.REVALUE, 100))
    assert bus.poll() == Answer(Reply.REVALUE_DENIED)
    bus.say(Command(Word.REVALUE_LIMIT), Command(Word.READER_CANCEL))
    assert [bus.poll().reply, bus.poll().reply] == [Reply.REVALUE_LIMIT, Reply.CANCELLED]
    heard = bus.reader.hear(encode(Command(Word.CASH_SALE, 250, 3)))
    assert [(one.step, one.amount, one.item) for one in heard.happened] == [(Step.CASH_SALE, 250, 3)]
    bus.reader.end()
    assert bus.poll() == Answer(Reply.CANCEL_REQUEST)


def test_noise_and_words_of_others_are_not_answered():
    bus = Bus().enabled()
    assert bus.reader.hear(b"\x12\x13").reply == b""
    assert bus.reader.hear(bytes.fromhex("0B 0B")).reply == b""
    assert bus.reader.hear(encode(Command(Word.NEGATIVE_VEND, 5, 1))).reply == ACK
    assert bus.reader.state is State.ENABLED


class Money(RuleBasedStateMachine):
    """Any words of a machine, heard or not, between any words of a hub: each yes ends once."""

    def __init__(self) -> None:
        super().__init__()
        self.bus = Bus(level=3, always_idle=True)
        self.approved = 0

    @rule(word=st.sampled_from([word for word in Word if not word.value[2][0] and word is not Word.POLL]))
    def machine_says(self, word):
        self.bus.say(Command(word, 10 if "a" in word.value[1] else 0))

    @rule()
    def machine_sets_up(self):
        self.bus.say(Command(Word.RESET), SETUP, Command(Word.READER_ENABLE), REQUEST)

    @rule(ack=st.booleans())
    def machine_polls(self, ack):
        self.bus.poll(ack=ack)

    @rule()
    def machine_falls_silent(self):
        self.bus.note(self.bus.reader.silence())

    @precondition(lambda self: self.bus.reader.state is State.ASKED)
    @rule(yes=st.booleans())
    def hub_decides(self, yes):
        self.approved += yes
        self.bus.note(self.bus.reader.approve(10) if yes else self.bus.reader.deny())

    @invariant()
    def each_yes_ends_once(self):
        assert self.approved == len(self.bus.ended) + (self.bus.reader.state in APPROVED)

    @invariant()
    def a_yes_waits_only_while_it_is_open(self):
        says_yes = any(answer.reply is Reply.APPROVED for answer in self.bus.reader._waiting)
        assert not says_yes or self.bus.reader.state is State.APPROVING


TestMoney = Money.TestCase
