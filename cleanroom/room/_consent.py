"""The consent declaration that comes with a list: checked against the contract, and what the log says of it."""

from __future__ import annotations

import hashlib
from typing import Any

from cleanroom.contract import Contract, Role
from cleanroom.contract.consent import open_declaration
from cleanroom.contract.errors import ConsentInvalid


def declared(contract: Contract, party: str, role: Role, consent: bytes, root: bytes, now_ms: int) -> dict[str, Any]:
    """The consent fields of an upload's log line.

    An advertiser's list carries a declaration. A provider's rows are its own subscribers, under its own terms with
    them: they carry none, and the log says so. Raises: ConsentInvalid.
    """
    if role is Role.PROVIDER:
        if consent:
            raise ConsentInvalid("a provider's own rows carry no declaration")
        return {"consent_class": "none", "consent": "", "consent_root": "", "consent_until_ms": 0}
    found = open_declaration(consent, contract, party, root, now_ms)
    return {
        "consent_class": found.klass.value,
        "consent": hashlib.sha256(consent).hexdigest(),
        "consent_root": found.evidence,
        "consent_until_ms": found.expires_ms,
    }
