"""The numbers of OpenRTB 2.6 and AdCOM 1.0 that decisions are made of: no-bid and loss reasons, markup types."""

from __future__ import annotations

from enum import IntEnum


class Nbr(IntEnum):
    """No-bid reasons (OpenRTB 2.6, 5.24); 500 and above are ours."""

    UNKNOWN = 0
    TECHNICAL = 1
    INVALID_REQUEST = 2
    CRAWLER = 3
    NON_HUMAN = 4
    PROXY = 5
    DEVICE = 6
    BLOCKED_SITE = 7
    UNMATCHED_USER = 8
    DAILY_USER_CAP = 9
    DAILY_DOMAIN_CAP = 10
    ADS_TXT_UNAVAILABLE = 11
    ADS_TXT_VIOLATION = 12
    ADS_CERT_UNAVAILABLE = 13
    ADS_CERT_VIOLATION = 14
    INSUFFICIENT_TIME = 15
    INCOMPLETE_SCHAIN = 16
    BLOCKED_SCHAIN_NODE = 17
    NOTHING_ELIGIBLE = 500
    NO_CONSENT = 501
    OVERLOADED = 502
    STOPPED = 503


class Loss(IntEnum):
    """Loss reasons (OpenRTB 2.6, 5.25); 500 and above are ours."""

    WON = 0
    INTERNAL = 1
    EXPIRED = 2
    INVALID_RESPONSE = 3
    INVALID_DEAL = 4
    INVALID_AUCTION = 5
    INVALID_ADOMAIN = 6
    NO_MARKUP = 7
    NO_CRID = 8
    NO_PRICE = 9
    CREATIVE_APPROVAL = 10
    BELOW_FLOOR = 100
    BELOW_DEAL_FLOOR = 101
    HIGHER_BID = 102
    LOST_TO_DEAL = 103
    SEAT_BLOCKED = 104
    CREATIVE_FILTERED = 200
    CREATIVE_NOT_PROCESSED = 201
    CREATIVE_DISAPPROVED = 202
    CREATIVE_SIZE = 203
    CREATIVE_FORMAT = 204
    CREATIVE_ADVERTISER = 205
    CREATIVE_APP = 206
    CREATIVE_NOT_SECURE = 207
    CREATIVE_LANGUAGE = 208
    CREATIVE_CATEGORY = 209
    CREATIVE_ATTRIBUTE = 210
    CREATIVE_TYPE = 211
    CREATIVE_ANIMATION = 212
    CREATIVE_HOVER = 213
    CREATIVE_FLASH = 214
    CREATIVE_VIDEO = 215
    CURRENCY_UNKNOWN = 500
    DUPLICATE_BID = 501
    IMP_UNKNOWN = 502
    MARKUP_TOO_LARGE = 503
    GROUP_INCOMPLETE = 504


class Mtype(IntEnum):
    """Kinds of markup (bid.mtype)."""

    BANNER = 1
    VIDEO = 2
    AUDIO = 3
    NATIVE = 4


class At(IntEnum):
    """Auction types."""

    FIRST_PRICE = 1
    SECOND_PRICE = 2
    FIXED_PRICE = 3
