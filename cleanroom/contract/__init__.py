"""The collaboration contract and the consent behind a list. See docs/CONTRACT.md."""

from cleanroom.contract.book import ContractBook, DestroyedKey
from cleanroom.contract.drafts import amend, new_contract
from cleanroom.contract.log import EventLog, LogReceipt
from cleanroom.contract.model import Contract
from cleanroom.contract.presets import HIGH_ASSURANCE, LOW_ASSURANCE, PRESETS, Preset
from cleanroom.contract.room_log import RoomEventLog
from cleanroom.contract.signing import Algorithm, Signature, sign, sign_pq, verify, verify_one
from cleanroom.contract.sqlite_store import SqliteContractStore
from cleanroom.contract.states import Event, State, advance
from cleanroom.contract.store import ContractStore, Stored
from cleanroom.contract.terms import (
    Cardinality,
    Consent,
    ConsentClass,
    Grant,
    IdRule,
    Match,
    Member,
    Operation,
    Population,
    Privacy,
    Retention,
    Role,
    Tags,
    Thresholds,
)

__all__ = [
    "HIGH_ASSURANCE",
    "LOW_ASSURANCE",
    "PRESETS",
    "Algorithm",
    "Cardinality",
    "Consent",
    "ConsentClass",
    "Contract",
    "ContractBook",
    "ContractStore",
    "DestroyedKey",
    "Event",
    "EventLog",
    "Grant",
    "IdRule",
    "LogReceipt",
    "Match",
    "Member",
    "Operation",
    "Population",
    "Preset",
    "Privacy",
    "Retention",
    "Role",
    "RoomEventLog",
    "Signature",
    "SqliteContractStore",
    "State",
    "Stored",
    "Tags",
    "Thresholds",
    "advance",
    "amend",
    "new_contract",
    "sign",
    "sign_pq",
    "verify",
    "verify_one",
]
