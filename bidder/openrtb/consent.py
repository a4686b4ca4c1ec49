"""What the law and the person allow to be done with this request's personal data.

Every signal can only narrow. A signal that is there but cannot be read narrows as far as it could: an unreadable
consent string is no consent, an unreadable US privacy string is an opt-out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bidder.openrtb import gpp
from bidder.openrtb._base import ext_values
from bidder.openrtb.context import Regs
from bidder.openrtb.errors import ConsentInvalid
from bidder.openrtb.request import BidRequest
from bidder.openrtb.tcf import TcfConsent, decode_tcf

PURPOSES_PERSONAL: Final = (1, 2, 3, 4)
"""TCF: store and access, select basic ads, create a profile, select personalised ads."""
PURPOSES_BASIC: Final = (2,)
_US_PRIVACY_LENGTH: Final = 4


@dataclass(frozen=True, slots=True)
class Consent:
    """The decision. ``personal``: ids and profiles may be used; ``basic``: an ad may be shown at all by this vendor.

    ``reasons`` names the signals that narrowed it, for counters: coppa, dnt, lmt, gdpr-vendor, gdpr-consent,
    us-privacy, gpp, gpc.
    """

    personal: bool
    basic: bool
    reasons: tuple[str, ...] = ()


_FREE: Final = Consent(personal=True, basic=True)


def decide(request: BidRequest, vendor_id: int | None) -> Consent:
    """Judge ``request`` for the vendor (its Global Vendor List id; None: not on the list, so nothing personal under
    GDPR).
    """
    reasons: list[str] = []
    device, regs = request.device, request.regs
    if device is not None:
        if device.dnt:
            reasons.append("dnt")
        if device.lmt:
            reasons.append("lmt")
    if regs is None:
        return _FREE if not reasons else Consent(personal=False, basic=True, reasons=tuple(reasons))
    if regs.coppa:
        reasons.append("coppa")
    sections, readable = _sections(regs)
    if not readable:
        reasons.append("gpp")
    basic = _european(request, regs, sections, vendor_id, reasons)
    reasons.extend(_american(regs, sections))
    return Consent(personal=not reasons, basic=basic, reasons=tuple(reasons))


def _sections(regs: Regs) -> tuple[dict[int, str], bool]:
    """The GPP sections that apply (``gpp_sid``, or all when it is not said)."""
    if not regs.gpp:
        return {}, not regs.gpp_sid
    try:
        sections = gpp.decode_gpp(regs.gpp).sections
    except ConsentInvalid:
        return {}, False
    if regs.gpp_sid:
        wanted = {s for s in regs.gpp_sid if s > 0}  # -1 and 0 say that none applies
        return {s: t for s, t in sections.items() if s in wanted}, wanted <= sections.keys()
    return sections, True


def _european(
    request: BidRequest, regs: Regs, sections: dict[int, str], vendor_id: int | None, reasons: list[str]
) -> bool:
    if not regs.gdpr and not (regs.gdpr is None and gpp.TCF_EU in sections):
        return True
    if vendor_id is None:
        reasons.append("gdpr-vendor")
        return True  # an ad without any processing of the vendor's own
    text = (request.user.consent if request.user is not None else None) or sections.get(gpp.TCF_EU, "")
    try:
        consent: TcfConsent | None = decode_tcf(text)
    except ConsentInvalid:
        consent = None
    if consent is None or not all(consent.allows(vendor_id, p) for p in PURPOSES_PERSONAL):
        reasons.append("gdpr-consent")
    return consent is not None and all(consent.allows(vendor_id, p) for p in PURPOSES_BASIC)


def _american(regs: Regs, sections: dict[int, str]) -> list[str]:
    reasons = []
    texts = [t for t in (regs.us_privacy, sections.get(gpp.US_PRIVACY)) if t]
    if any(us_privacy_opted_out(text) for text in texts):
        reasons.append("us-privacy")
    if any(_opted_out(s, t) for s, t in sections.items() if gpp.US_NATIONAL <= s <= gpp.US_LAST):
        reasons.append("gpp")
    if _global_privacy_control(regs):
        reasons.append("gpc")
    return reasons


def us_privacy_opted_out(text: str) -> bool:
    """Whether a US privacy string (version, notice, opt-out of sale, LSPA) opts out; one that breaks the form does."""
    well_formed = len(text) == _US_PRIVACY_LENGTH and text[0] == "1" and all(c in "YNyn-" for c in text[1:])
    return not well_formed or text[2] in "Yy"


def _opted_out(section: int, text: str) -> bool:
    try:
        return gpp.us_opted_out(section, text)
    except ConsentInvalid:
        return True


def _global_privacy_control(regs: Regs) -> bool:
    if b'"gpc"' not in bytes(regs.ext):
        return False
    values = ext_values(regs.ext)
    return values is None or str(values.get("gpc")) == "1"
