"""The errors of the DSP.

BidderError
+-- DspError
    +-- CampaignInvalid      a campaign or plan breaks a rule
    +-- CampaignUnknown      no such campaign or advertiser
    +-- CampaignExists       the name is taken, with other content
    +-- LedgerUnbalanced     debits and credits of one step differ (ours: the step is not written)
    +-- LedgerBreach         a worker asked for money it does not hold
    +-- LedgerUnavailable    the ledger process does not answer
    +-- NoticeInvalid        a notice's token is malformed, forged or for another purpose
    +-- NoticeExpired        a notice's token is older than it may be
    +-- JournalCorrupt       a journal record fails its length or checksum
    +-- ModelInvalid         a scoring model cannot be read or does not fit its schema
"""

from __future__ import annotations

from bidder.errors import BidderError
from protos.errors import Fault


class DspError(BidderError):
    """Root of the errors of the DSP."""

    code = "dsp"


class CampaignInvalid(DspError):
    """A campaign or a plan breaks a rule; the message lists every fault with its place."""

    code = "campaign-invalid"
    fault = Fault.INVALID


class CampaignUnknown(DspError):
    """No campaign or advertiser of this name."""

    code = "campaign-unknown"
    fault = Fault.NOT_FOUND


class CampaignExists(DspError):
    """The name is taken by a campaign with other content."""

    code = "campaign-exists"
    fault = Fault.CONFLICT


class LedgerUnbalanced(DspError):
    """Debits and credits of one step differ; the step was not written."""

    code = "ledger-unbalanced"
    fault = Fault.INTERNAL


class LedgerBreach(DspError):
    """A worker asked for money it does not hold; nothing was moved."""

    code = "ledger-breach"
    fault = Fault.FORBIDDEN


class LedgerUnavailable(DspError):
    """The ledger process does not answer; reservations stay held and the notice should be sent again."""

    code = "ledger-unavailable"
    fault = Fault.UNAVAILABLE


class NoticeInvalid(DspError):
    """A notice's token is malformed, forged, or made for another purpose."""

    code = "notice-invalid"
    fault = Fault.FORBIDDEN


class NoticeExpired(DspError):
    """A notice's token is genuine and older than notices are taken."""

    code = "notice-expired"
    fault = Fault.STATE


class JournalCorrupt(DspError):
    """A journal record fails its length or its checksum."""

    code = "journal-corrupt"
    fault = Fault.CORRUPT


class ModelInvalid(DspError):
    """A scoring model cannot be read or does not fit its feature schema."""

    code = "model-invalid"
    fault = Fault.INVALID
