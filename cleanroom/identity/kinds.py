"""The kinds of identifiers, their encodings, and the codes of rejected rows."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class IdKind(StrEnum):
    """What an identifier is. Canonical forms: docs/IDENTITY.md."""

    PHONE = "phone"
    EMAIL = "email"
    IMEI = "imei"
    MEID = "meid"
    OAID = "oaid"
    IDFA = "idfa"
    GAID = "gaid"
    ANDROID_ID = "android_id"
    MAC = "mac"
    ID_CARD = "id_card"
    OPENID = "openid"
    UNIONID = "unionid"
    EXCHANGE_UID = "exchange_uid"
    MEMBER = "member"


class Encoding(StrEnum):
    """How an identifier is held: as it is, or as the digest of its canonical form."""

    RAW = "raw"
    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    SM3 = "sm3"


DIGEST_BYTES: Final = {Encoding.MD5: 16, Encoding.SHA1: 20, Encoding.SHA256: 32, Encoding.SM3: 32}

NAMESPACE_REQUIRED: Final = frozenset({IdKind.MEMBER})
NAMESPACE_TAKEN: Final = NAMESPACE_REQUIRED | {IdKind.OPENID, IdKind.UNIONID, IdKind.EXCHANGE_UID}


class Reject(StrEnum):
    """Why a row was not taken. Codes are stable: they stand in rejects files."""

    EMPTY = "empty"  # null, or nothing but white space
    TOO_LONG = "too-long"  # longer than any identifier of any kind
    MALFORMED = "malformed"  # not the shape of its kind
    LENGTH = "wrong-length"  # right characters, wrong number of them
    CHECK_DIGIT = "check-digit"  # Luhn (imei, meid) or ISO 7064 MOD 11-2 (id_card) fails
    DATE = "birth-date"  # the date in an id card is none
    PLACEHOLDER = "placeholder"  # zeroed, or a value devices give when they have none
    OLD_ID_CARD = "fifteen-digit-id-card"  # the form before GB 11643-1999, out of use since 2013
    NO_SUCH_NUMBER = "no-such-number"  # no phone number in its country's numbering plan
    DIGEST = "not-a-digest"  # neither hex nor base64 of the encoding's length


REJECTS: Final = tuple(Reject)
REJECT_INDEX: Final = {reject: index + 1 for index, reject in enumerate(REJECTS)}  # 0 means: taken
