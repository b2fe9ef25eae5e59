"""The durable record: whatever is killed or torn, an epoch never goes back and never repeats."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from vehicle_agent.core.record import (
    FIRST,
    SLOT_BYTES,
    Record,
    decode_record,
    encode_record,
    newest,
)
from vehicle_agent.shell.store import MISSING, RecordStore

KILLS = 1000
USED = Record(7, 12, "L102")


def wait_durable(store: RecordStore, record: Record) -> None:
    """Spin until the store's thread says that it is on disk; bounded by the test's time-out."""
    while store.durable != record:
        assert store.failed is None
        os.sched_yield()


@pytest.mark.parametrize("record", [FIRST, USED, Record(2**63, 2**32 - 1, "ABCDEFGH")])
def test_record__round_trips(record: Record) -> None:
    assert decode_record(encode_record(record)) == record


def test_every_flipped_bit_of_a_slot__is_no_record() -> None:
    slot = encode_record(USED)
    for bit in range(len(slot) * 8):
        torn = bytearray(slot)
        torn[bit // 8] ^= 1 << bit % 8
        assert decode_record(bytes(torn)) is None


@pytest.mark.parametrize("size", range(SLOT_BYTES))
def test_every_short_slot__is_no_record(size: int) -> None:
    assert decode_record(encode_record(USED)[:size]) is None


def test_two_slots__the_higher_valid_generation_wins() -> None:
    low, high = encode_record(Record(4, 9, None)), encode_record(Record(5, 10, "L102"))

    assert newest((low, high)) == newest((high, low)) == Record(5, 10, "L102")
    assert newest((low, high[:-1] + b"\0")) == Record(4, 9, None)
    assert newest((b"", b"\0" * SLOT_BYTES)) is None


def test_latch_id_longer_than_its_field__refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        encode_record(Record(1, 1, "ABCDEFGHI"))


def test_second_guardian_on_one_record__does_not_start_and_erases_nothing(tmp_path: Path) -> None:
    first = RecordStore(tmp_path / "record")
    first.ask(USED)
    wait_durable(first, USED)

    with pytest.raises(ValueError, match="another guardian"):
        RecordStore(tmp_path / "record")

    assert first.durable == USED
    first.close()


def test_disk_that_fails_once__the_record_is_written_after_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RecordStore(tmp_path / "record")
    sync, failures = os.fsync, iter([OSError("disk full")])

    def flaky(descriptor: int) -> None:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", flaky)
    store.ask(USED)
    while store.durable != USED:
        os.sched_yield()

    store.close()


def test_missing_file__begins_with_a_latched_stop_and_is_private(tmp_path: Path) -> None:
    store = RecordStore(tmp_path / "record")

    assert store.durable == MISSING
    assert (tmp_path / "record").stat().st_mode & 0o077 == 0
    store.close()


def test_record_asked_for__is_there_after_closing(tmp_path: Path) -> None:
    store = RecordStore(tmp_path / "record")
    store.ask(Record(1, 5, "V102"))
    store.close()

    again = RecordStore(tmp_path / "record")

    assert again.durable == Record(1, 5, "V102")
    again.close()


@pytest.mark.requirement("HF-GUARD-05")
def test_either_slot_destroyed__the_other_still_counts(tmp_path: Path) -> None:
    path = tmp_path / "record"
    store = RecordStore(path)
    for generation in (1, 2, 3):
        record = Record(generation, generation, None)
        store.ask(record)
        wait_durable(store, record)
    store.close()
    whole = path.read_bytes()

    path.write_bytes(b"\xff" * 64 + whole[64:])
    first = RecordStore(path)
    first.close()
    path.write_bytes(whole[:4096] + b"\xff" * 64)
    second = RecordStore(path)
    second.close()

    assert {first.durable.epoch, second.durable.epoch} == {2, 3}


@pytest.mark.requirement("HF-GUARD-05")
def test_both_slots_destroyed__refuses_to_guess_an_epoch(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"\xff" * 8192)

    with pytest.raises(ValueError, match="epoch is unknown"):
        RecordStore(path)


def use_epochs(path: Path, told: int) -> None:
    """Burn epochs as fast as the disk takes them; tell each one once it is durable."""
    store = RecordStore(path)
    record = store.durable
    while True:
        record = Record(record.generation + 1, record.epoch + 1, None)
        store.ask(record)
        wait_durable(store, record)
        os.write(told, record.epoch.to_bytes(4, "little"))


@pytest.mark.timeout(240)
@pytest.mark.requirement("HF-AUTH-02")
def test_killed_during_a_thousand_writes__no_epoch_goes_back_or_repeats(tmp_path: Path) -> None:
    dice = random.Random(20)
    read_end, write_end = os.pipe()
    used: list[int] = []
    for _ in range(KILLS):
        pid = os.fork()
        if pid == 0:
            try:
                use_epochs(tmp_path / "record", write_end)
            finally:
                os._exit(1)
        used.append(int.from_bytes(os.read(read_end, 4), "little"))
        for _ in range(dice.randrange(20_000)):
            pass
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.set_blocking(read_end, False)
        try:
            rest = os.read(read_end, 1 << 16)
        except BlockingIOError:
            rest = b""
        os.set_blocking(read_end, True)
        used += [int.from_bytes(rest[i : i + 4], "little") for i in range(0, len(rest), 4)]
    os.close(read_end)
    os.close(write_end)

    assert len(used) >= KILLS
    assert used == sorted(set(used))
