"""The board's end of the link in Amaranth's simulator, against the host's frames."""

from collections.abc import Sequence

import pytest
from amaranth import Module
from amaranth.sim import Simulator, SimulatorContext
from hypothesis import given, settings
from hypothesis import strategies as st

from rtl.link.frames import END, LONGEST, Frame, Status, Unpacker, frame_of, status_of, wire_bytes
from rtl.link.gateware import Link

INBOX, OUTBOX = 64, 32


class Bench:
    """A link whose commands come back as replies, one each; a step gives bytes to it and takes what it answers."""

    def __init__(self, inbox: int = INBOX, outbox: int = OUTBOX) -> None:
        self.link = Link(inbox, outbox)
        self.commands = bytearray()

    def run(self, steps: Sequence[bytes], loop: bool = True) -> list[list[Frame]]:
        answers: list[list[Frame]] = []

        link = self.link
        echo = Module()
        echo.submodules.link = link
        echo.d.comb += [
            link.replies.valid.eq(link.commands.valid & loop),
            link.commands.ready.eq(link.replies.ready & loop),
            link.replies.payload.eq(~link.commands.payload),
        ]

        async def watch(ctx: SimulatorContext) -> None:
            commands = link.commands
            async for *_, valid, ready, byte, restart in ctx.tick().sample(
                commands.valid, commands.ready, commands.payload, link.restart
            ):
                if restart:
                    self.commands.clear()
                elif valid and ready:
                    self.commands.append(byte)

        async def wire(ctx: SimulatorContext) -> None:
            unpacker = Unpacker()
            ctx.set(link.tx.ready, 1)
            for data in steps:
                got, idle = bytearray(), 0
                queue = list(data)
                while queue or idle < 300:
                    ctx.set(link.rx.valid, bool(queue))
                    ctx.set(link.rx.payload, queue.pop(0) if queue else 0)
                    *_, valid, byte = await ctx.tick().sample(link.tx.valid, link.tx.payload)
                    idle = 0 if valid or queue else idle + 1
                    if valid:
                        got.append(byte)
                ctx.set(link.rx.valid, 0)
                answers.append(unpacker.frames(bytes(got)))
                assert not unpacker.damaged

        simulator = Simulator(echo)
        simulator.add_clock(1e-6)
        simulator.add_process(watch)
        simulator.add_testbench(wire)
        simulator.run()
        return answers


def count(replies: int) -> bytes:
    return replies.to_bytes(2, "little")


OPEN = wire_bytes(Frame("O", 7))


def test_commands_go_in_and_replies_come_out() -> None:
    bench = Bench()
    sent = bytes([0xC0, 0xDB, 1, 2, 0xDC])
    opened, taken, read, again = bench.run(
        [
            OPEN,
            wire_bytes(Frame("D", 7, 0, sent)),
            wire_bytes(Frame("R", 7, 0, count(5))),
            wire_bytes(Frame("R", 7, 2, count(2))),
        ]
    )
    assert [status_of(each) for each in opened] == [Status(0, INBOX, 0, 0)]
    assert (taken[0].kind, taken[0].session, taken[0].offset) == ("s", 7, len(sent))
    flipped = bytes(byte ^ 0xFF for byte in sent)
    assert [(each.kind, each.offset) for each in read] == [("s", 5), ("d", 0)]
    assert read[1].payload == flipped
    assert [(each.kind, each.offset, each.payload) for each in again[1:]] == [("d", 2, flipped[2:4])]
    assert bytes(bench.commands) == sent


def test_what_is_not_expected_is_not_taken() -> None:
    """Another session, another offset, a changed bit, a frame that is cut, more than there is room for."""
    bench, good = Bench(), Frame("D", 7, 0, b"good")
    changed = bytearray(wire_bytes(Frame("D", 7, 0, b"evil")))
    changed[9] ^= 4
    steps = [
        OPEN,
        wire_bytes(Frame("D", 8, 0, b"evil")),
        wire_bytes(Frame("D", 7, 1, b"evil")),
        bytes(changed),
        wire_bytes(Frame("D", 7, 0, b"evil"))[:9] + END,
        wire_bytes(Frame("D", 7, 0, bytes(INBOX - 3))),
        wire_bytes(good) * 2,
        OPEN,
        wire_bytes(Frame("R", 7, 5, count(4))),
    ]
    answers = bench.run(steps)
    assert [len(each) for each in answers] == [1, 1, 1, 0, 0, 1, 2, 1, 1]
    assert [each[-1].offset for each in answers if each] == [0, 0, 0, 0, 4, 4, 4]
    assert bytes(bench.commands) == b"good"


def test_a_new_session_clears_everything() -> None:
    bench = Bench()
    answers = bench.run(
        [
            wire_bytes(Frame("S", 9)),
            OPEN,
            wire_bytes(Frame("D", 7, 0, b"abc")),
            wire_bytes(Frame("O", 9)),
            wire_bytes(Frame("D", 7, 3, b"late")),
            wire_bytes(Frame("D", 9, 0, b"new")),
        ]
    )
    assert [each[0].session for each in answers] == [0, 7, 7, 9, 9, 9]
    assert status_of(answers[3][0]) == Status(0, INBOX, 0, 0)
    assert bytes(bench.commands) == b"new"


def test_a_full_inbox_and_a_full_outbox_wait() -> None:
    stuck = Bench().run([OPEN, wire_bytes(Frame("D", 7, 0, bytes(40)))], loop=False)
    assert status_of(stuck[1][0]) == Status(40, INBOX - 40, 0, 0)
    bench, data = Bench(), bytes(range(30))
    more = Frame("D", 7, 30, data)
    *_, full, told, read = bench.run(
        [
            OPEN,
            wire_bytes(Frame("D", 7, 0, data)),
            wire_bytes(more),
            wire_bytes(Frame("A", 7, 20)),
            wire_bytes(Frame("R", 7, 20, count(OUTBOX))),
        ]
    )
    assert status_of(full[0]).taken == status_of(told[0]).taken == 60
    assert status_of(read[0]).owed == OUTBOX
    flipped = bytes(byte ^ 0xFF for byte in data * 2)
    assert b"".join(each.payload for each in read[1:]) == flipped[20 : 20 + OUTBOX]


def test_an_answer_says_which_question_it_is_to_and_what_is_still_owed() -> None:
    asked, made, done = Bench().run(
        [
            OPEN + wire_bytes(Frame("S", 7, 500)) + wire_bytes(Frame("R", 7, 0, count(6))),
            wire_bytes(Frame("D", 7, 0, b"abc")) + wire_bytes(Frame("S", 7, 501)),
            wire_bytes(Frame("D", 7, 3, b"def")) + wire_bytes(Frame("S", 8, 502)),
        ]
    )
    assert status_of(asked[-1]) == Status(0, INBOX, 500, 6)
    assert (status_of(made[-1]).number, status_of(made[-1]).owed) == (501, 6)
    assert [each.payload for each in done if each.kind == "d"] == [bytes(byte ^ 0xFF for byte in b"abcdef")]
    said = [status_of(each) for each in done if each.kind == "s"]
    assert {each.number for each in said} == {501}  # an S of another session asks nothing


def test_replies_go_out_as_they_are_made() -> None:
    """What is asked for ahead comes in frames of the longest payload, then the rest; the next question begins anew."""
    bench, data = Bench(512, 512), bytes(range(250))
    *_, early, first, second = bench.run(
        [
            OPEN,
            wire_bytes(Frame("R", 7, 0, count(400))),
            wire_bytes(Frame("D", 7, 0, data)),
            wire_bytes(Frame("D", 7, 250, data)),
        ]
    )
    assert [each.kind for each in early] == ["s"]
    assert [(each.kind, each.offset, len(each.payload)) for each in first] == [("s", 250, 6), ("d", 0, LONGEST)]
    assert [(each.offset, len(each.payload)) for each in second if each.kind == "d"] == [(LONGEST, 160)]


def test_old_questions_bring_nothing_back() -> None:
    """A question that comes late, for replies that are forgotten, is not believed."""
    bench = Bench()
    *_, late, good = bench.run(
        [
            OPEN,
            wire_bytes(Frame("D", 7, 0, bytes(20))),
            wire_bytes(Frame("A", 7, 10)),
            wire_bytes(Frame("R", 7, 4, count(5))),
            wire_bytes(Frame("R", 7, 10, count(5))),
        ]
    )
    assert [each.kind for each in late] == ["s"]
    assert [(each.kind, each.offset) for each in good] == [("s", 20), ("d", 10)]


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(0))
def test_a_frame_comes_back_whole_or_not_at_all(payload: bytes, session: int, offset: int, place: int) -> None:
    frame = Frame("d", session, offset, payload)
    wire = wire_bytes(frame)
    assert Unpacker().frames(b"\x01\x02" + wire + b"\x03") == [frame]
    changed = bytearray(wire)
    changed[place // 8 % len(wire)] ^= 1 << place % 8
    assert all(each == frame for each in Unpacker().frames(bytes(changed)))


@pytest.mark.parametrize("packet", [b"", b"short", b"\xdb\x00" + bytes(12)])
def test_noise_is_no_frame(packet: bytes) -> None:
    assert frame_of(packet) is None
