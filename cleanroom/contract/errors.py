"""What can go wrong with a contract.

CleanroomError
+-- ContractError
    +-- ContractInvalid       the document breaks a rule; every fault is named with its place
    +-- SignatureMissing      a member has not signed, or signed other bytes
    +-- MemberUnknown         the contract names a key its member does not hold
    +-- IllegalTransition     right event, wrong state
    +-- NotAllowed            the contract does not grant this
    +-- NotInForce            no version of this contract is open at this moment
    +-- ContractConflict      the store holds other content under this name
    +-- ContractNotFound      the store holds nothing under this name
    +-- ConsentInvalid        a declaration, a leaf, a root or an opening does not hold
"""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class ContractError(CleanroomError):
    """Root of the errors of contract and consent."""

    code = "contract"


class ContractInvalid(ContractError):
    """The document breaks a rule."""

    code = "contract-invalid"
    fault = Fault.INVALID


class SignatureMissing(ContractError):
    """A member has not signed, or signed other bytes."""

    code = "contract-signature-missing"
    fault = Fault.FORBIDDEN


class MemberUnknown(ContractError):
    """The contract names a party that is unknown, or a key that is not that party's."""

    code = "contract-member-unknown"
    fault = Fault.UNAUTHENTICATED


class IllegalTransition(ContractError):
    """The event does not follow in this state."""

    code = "contract-illegal-transition"
    fault = Fault.STATE


class NotAllowed(ContractError):
    """The contract does not grant this operation to this recipient for this purpose."""

    code = "contract-not-allowed"
    fault = Fault.FORBIDDEN


class NotInForce(ContractError):
    """The contract is not open, or outside its validity."""

    code = "contract-not-in-force"
    fault = Fault.STATE


class ContractConflict(ContractError):
    """Other content stands under this collaboration and version."""

    code = "contract-conflict"
    fault = Fault.CONFLICT


class ContractNotFound(ContractError):
    """No such collaboration or version."""

    code = "contract-not-found"
    fault = Fault.NOT_FOUND


class ConsentInvalid(ContractError):
    """A declaration, a consent leaf, a root or an opening does not hold."""

    code = "consent-invalid"
    fault = Fault.INVALID
