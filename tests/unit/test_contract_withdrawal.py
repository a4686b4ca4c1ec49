"""Withdrawals: signed by the sender, carried out by every part, told once, and nothing kept of whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from release_rig import KEYS, T0, MemoryLog, Rng, contract

from cleanroom.contract.errors import ConsentInvalid, ContractConflict, ContractNotFound
from cleanroom.contract.terms import DAY_MS
from cleanroom.contract.withdrawal import FORMAT, Withdrawal, Withdrawals, open_withdrawal, withdraw
from cleanroom.tlog.events import check_body

ONE = contract()


def notice(**over: Any) -> Withdrawal:
    fields: dict[str, Any] = {
        "format": FORMAT,
        "withdrawal": "a" * 32,
        "collaboration": ONE.collaboration,
        "party": "brand",
        "datasets": ("b" * 64,),
        "rows": tuple(f"{row:032x}" for row in range(20)),
        "declared_ms": T0,
        "until_ms": T0 + 7 * DAY_MS,
    }
    return Withdrawal(**(fields | over))


class Forgetful:
    """A part that holds some rows, and may fail."""

    def __init__(self, name: str, rows: set[str]) -> None:
        self.name = name
        self.rows = rows
        self.broken = False

    def forget(self, withdrawal: Withdrawal) -> int:
        if self.broken:
            raise OSError(self.name)
        gone = self.rows & set(withdrawal.rows)
        self.rows -= gone
        return len(gone)


def test_every_part_forgets_and_the_log_tells_it_once(tmp_path: Path) -> None:
    log = MemoryLog()
    room = Withdrawals(tmp_path / "w.db", log, Rng())
    document = withdraw(notice(), KEYS["brand"])
    parts = [Forgetful("matches", {f"{row:032x}" for row in range(10, 40)}), Forgetful("models", set())]
    for _ in range(2):
        room.take(document, ONE, "brand")
    assert room.pending() == ["a" * 32]
    receipts = [room.carry_out("a" * 32, parts) for _ in range(2)]
    assert receipts[0] == receipts[1]
    assert receipts[0].objects == {"matches": 10, "models": 0}
    assert len(parts[0].rows) == 20
    assert room.pending() == []
    assert [kind for kind, _, _ in log.entries] == ["consent.withdrawn", "deletion.batch"]
    for kind, _, body in log.entries:
        check_body(kind, body)
    assert log.entries[0][2]["people_bucket"] == 32
    assert log.entries[1][2]["receipt"] == receipts[0].commitment()
    room.take(document, ONE, "brand")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"a" * 32 in kept
    assert f"{3:032x}".encode() not in kept
    room.close()


@pytest.mark.parametrize("broken", [0, 1])
def test_a_part_that_fails_leaves_the_notice_pending(tmp_path: Path, broken: int) -> None:
    log = MemoryLog()
    room = Withdrawals(tmp_path / "w.db", log, Rng())
    room.take(withdraw(notice(), KEYS["brand"]), ONE, "brand")
    parts = [Forgetful("matches", set(notice().rows)), Forgetful("audiences", set(notice().rows))]
    parts[broken].broken = True
    with pytest.raises(OSError, match=parts[broken].name):
        room.carry_out("a" * 32, parts)
    room.close()
    room = Withdrawals(tmp_path / "w.db", log, Rng())
    assert room.pending() == ["a" * 32]
    parts[broken].broken = False
    room.carry_out("a" * 32, parts)
    assert [kind for kind, _, _ in log.entries] == ["consent.withdrawn", "deletion.batch"]
    assert not any(part.rows for part in parts)
    room.close()


@pytest.mark.parametrize(
    "over",
    [
        {"format": "x"},
        {"collaboration": "other"},
        {"party": "operator"},
        {"rows": ()},
        {"rows": ("0" * 32,) * 2},
        {"rows": ("+8613800138000",)},
        {"datasets": ()},
        {"until_ms": T0 + 31 * DAY_MS},
        {"until_ms": T0 - 1},
        {"withdrawal": "x"},
    ],
)
def test_malformed_notices(over: dict[str, Any]) -> None:
    with pytest.raises(ConsentInvalid):
        open_withdrawal(withdraw(notice(**over), KEYS["brand"]), ONE, "brand")


def test_only_the_sender_withdraws_and_an_id_means_one_notice(tmp_path: Path) -> None:
    with pytest.raises(ConsentInvalid, match="not signed"):
        open_withdrawal(withdraw(notice(), KEYS["operator"]), ONE, "brand")
    with pytest.raises(ConsentInvalid, match="not a notice"):
        open_withdrawal(b"{}", ONE, "brand")
    room = Withdrawals(tmp_path / "w.db", MemoryLog(), Rng())
    room.take(withdraw(notice(), KEYS["brand"]), ONE, "brand")
    other = msgspec.structs.replace(notice(), rows=("f" * 32,))
    with pytest.raises(ContractConflict):
        room.take(withdraw(other, KEYS["brand"]), ONE, "brand")
    with pytest.raises(ContractNotFound):
        room.carry_out("c" * 32, [])
    room.close()
