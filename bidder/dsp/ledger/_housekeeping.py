"""What keeps the file from growing for ever: old entries are folded, notices nobody may send any more are forgotten.

Folding adds old steps into step 0, which balances because each of them does; `audit` cannot tell the difference. A
notice is forgotten when its token would be refused anyway, so its uniqueness is no longer needed.
"""

from __future__ import annotations

import sqlite3
from typing import Final

EVERY_MS: Final = 5_000
STEPS_KEPT: Final = 50_000  # of the entries, as written; over an hour at ten groups a second
STEPS_AT_ONCE: Final = 400
NOTICES_AT_ONCE: Final = 20_000


def fold_entries(con: sqlite3.Connection, *, kept: int = STEPS_KEPT, at_once: int = STEPS_AT_ONCE) -> int:
    """Fold the oldest steps, at most ``at_once``, keeping the last ``kept``; returns how many numbers were folded."""
    first, last = con.execute(
        "SELECT (SELECT min(step) FROM entry WHERE step > 0), (SELECT max(step) FROM entry)"
    ).fetchone()
    if first is None or last - first < kept:
        return 0
    until = min(last - kept, first + at_once - 1)
    con.execute(
        "INSERT INTO entry SELECT 0, account, sum(nanos), sum(heads) FROM entry WHERE step > 0 AND step <= ?"
        " GROUP BY account ON CONFLICT (step, account) DO UPDATE"
        " SET nanos = nanos + excluded.nanos, heads = heads + excluded.heads",
        (until,),
    )
    con.execute("DELETE FROM entry WHERE step > 0 AND step <= ?", (until,))
    return int(until - first + 1)


def forget_notices(con: sqlite3.Connection, before_ms: int, *, at_once: int = NOTICES_AT_ONCE) -> int:
    """Forget at most ``at_once`` notices committed before ``before_ms``; returns how many."""
    oldest = con.execute("SELECT at_ms FROM notice ORDER BY n LIMIT 1").fetchone()
    if oldest is None or oldest[0] >= before_ms:
        return 0
    return con.execute(
        "DELETE FROM notice WHERE n IN (SELECT n FROM notice WHERE at_ms < ? ORDER BY n LIMIT ?)", (before_ms, at_once)
    ).rowcount
