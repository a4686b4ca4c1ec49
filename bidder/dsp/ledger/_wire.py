"""What a worker and the ledger say to each other: msgpack arrays over a Unix socket, or plain objects."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

HEADS_UNLIMITED: Final = 10**15  # a pot without a limit of heads: more people than there are


class Kind(IntEnum):
    """What a notice says about one bid."""

    BILL = 1  # the exchange charges for it
    LOSS = 2  # it did not win: its reservation is free again
    WIN = 3  # it won; no money yet
    IMPRESSION = 4
    CLICK = 5
    CONVERSION = 6


EVENT_NAMES: Final = {
    Kind.WIN: "win",
    Kind.IMPRESSION: "impression",
    Kind.CLICK: "click",
    Kind.CONVERSION: "conversion",
}


class Outcome(IntEnum):
    """What became of a notice once it is durable."""

    CHARGED = 1
    LOST = 2
    LATE = 3  # owed to the exchange, never charged to the campaign
    COUNTED = 4  # an event without money
    DUPLICATE = 5  # was counted before; nothing moved


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """One notice, from a token that has been verified. Unique by (lease, seq, kind); a bill and a loss are one kind."""

    kind: Kind
    lease: int
    seq: int
    nanos: int  # billed price; 0 for all but bills
    reserved_nanos: int
    heads: int  # 1 when this event is what the stage counts heads by
    hold_until_ms: int  # end of this reservation, by the ledger's clock
    pot: str
    exchange: str


class Want(msgspec.Struct, frozen=True, array_like=True):
    """One pot's line in a sync: renew my lease, give this much back or grant me this much more."""

    pot: str
    nanos: int = 0
    heads: int = 0
    give_nanos: int = 0
    give_heads: int = 0
    unit_nanos: int = 1  # the largest single reservation; a smaller grant would be of no use


class Count(msgspec.Struct, frozen=True, array_like=True):
    """Events that move no money, for the reports: added to one campaign's hour."""

    campaign: str
    exchange: str
    hour: int  # hours since 1970, UTC
    event: str  # bid, win, loss, impression, click, conversion
    number: int


class Sync(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A worker's beat: renews its leases, moves money, asks what became of its reservations."""

    worker: str
    epoch: int
    boot: int  # the ledger boot the cursor belongs to; 0 at first
    cursor: int
    wants: list[Want]
    counts: list[Count] = []


class Commit(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Make these notices durable; answered only after the fsync."""

    notices: list[Notice]


class LeaseState(msgspec.Struct, frozen=True, array_like=True):
    """What a lease is after a sync."""

    pot: str
    lease: int
    granted_nanos: int  # granted by this very sync
    granted_heads: int
    hold_until_ms: int  # no reservation under the lease may end later
    dry: bool  # the pot has nothing left to grant now
    charged_nanos: int  # of the whole pot
    sharing: int  # leases on the pot, this one included


class Resolved(msgspec.Struct, frozen=True, array_like=True):
    """One reservation that ended by a notice."""

    n: int
    lease: int
    seq: int
    nanos: int  # charged; 0 after a loss
    heads: int


class Synced(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Answer to Sync. Every later commit happens at ``now_ms`` or after."""

    now_ms: int
    boot: int
    cursor: int
    leases: list[LeaseState]
    resolved: list[Resolved]
    complete: bool  # every commit before now_ms is told; if not, reservations may not be freed by time yet
    catalog: int  # version of the campaigns; a change means: read them again


class Committed(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Answer to Commit, one outcome a notice, same order."""

    outcomes: list[Outcome]


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The request broke a rule; nothing of it was done."""

    code: str
    message: str


Request = Sync | Commit
Reply = Synced | Committed | Refused
