"""The transparency log: what the room writes before anything leaves, and what an auditor recomputes from it offline.

``Log`` is the tree on disk (C2SP tlog-tiles), ``RoomLog`` the events in it, ``verify_log`` the auditor (docs/LOG.md).
"""

from cleanroom.tlog._audit import verify_log, verify_tree
from cleanroom.tlog._checkpoint import Checkpoint, OpenedCheckpoint, open_checkpoint, sign_checkpoint
from cleanroom.tlog._disclosures import Disclosures, GivenOpenings, OpeningSource
from cleanroom.tlog._entry import Event, Leaf, Opening, decode_entry
from cleanroom.tlog._log import Log
from cleanroom.tlog._lot import draw, nonce_commitment
from cleanroom.tlog._merkle import leaf_hash, node_hash, verify_consistency, verify_inclusion
from cleanroom.tlog._note import Note, NoteKey, cosign, sign_note
from cleanroom.tlog._reader import TileReader
from cleanroom.tlog._report import AuditReport, Violation
from cleanroom.tlog._room import Receipt, RoomLog
from cleanroom.tlog._source import DirectorySource, FetchSource, Source, read_checkpoint
from cleanroom.tlog._store import Head, LogStore, SqliteLogStore
from cleanroom.tlog._witness import (
    SqliteWitnessStore,
    Witness,
    WitnessAnswer,
    WitnessLink,
    WitnessStore,
    accept_cosignatures,
    collect_cosignatures,
    witness_log,
)

__all__ = [
    "AuditReport",
    "Checkpoint",
    "DirectorySource",
    "Disclosures",
    "Event",
    "FetchSource",
    "GivenOpenings",
    "Head",
    "Leaf",
    "Log",
    "LogStore",
    "Note",
    "NoteKey",
    "OpenedCheckpoint",
    "Opening",
    "OpeningSource",
    "Receipt",
    "RoomLog",
    "Source",
    "SqliteLogStore",
    "SqliteWitnessStore",
    "TileReader",
    "Violation",
    "Witness",
    "WitnessAnswer",
    "WitnessLink",
    "WitnessStore",
    "accept_cosignatures",
    "collect_cosignatures",
    "cosign",
    "decode_entry",
    "draw",
    "leaf_hash",
    "node_hash",
    "nonce_commitment",
    "open_checkpoint",
    "read_checkpoint",
    "sign_checkpoint",
    "sign_note",
    "verify_consistency",
    "verify_inclusion",
    "verify_log",
    "verify_tree",
    "witness_log",
]
