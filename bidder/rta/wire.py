"""The RTA messages (tencent.ad.rta, and our sealbid.rta.v1 for questions that name slots) to and from the decision's
types.

The device ids of a question are MD5 sums whose letter case before hashing is the protocol's (IDFA and MAC in
capitals, OAID and Android id in lower case); the profile store knows each id under all of its forms.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError

from bidder.rta.config import Format
from bidder.rta.decide import Answer, Question, Slot
from protos import rta_pb2, rta_slot_pb2

CODE_TAKES_PART: Final = 0
CODE_DECLINES: Final = 1
CODE_INVALID: Final = 2
CODE_OVERLOADED: Final = 3

_Device: Final = rta_pb2.RtaRequest.Device
_IDS: Final = (
    ("imei_md5sum", "imei", _Device.IMEI_MD5_DOUBTFUL),
    ("oaid_md5sum", "oaid", _Device.OAID_MD5_DOUBTFUL),
    ("idfa_md5sum", "idfa", _Device.IDFA_MD5_DOUBTFUL),
    ("android_id_md5sum", "android_id", _Device.ANDROIDID_MD5_DOUBTFUL),
    ("mac_md5sum", "mac", _Device.MAC_MD5_DOUBTFUL),
)
"""Field, kind, and the tag with which the media says that it doubts the id; the most reliable first."""
_MD5_LENGTH: Final = 32
_HEX: Final = frozenset("0123456789abcdef")
_OS: Final = {
    rta_pb2.RtaRequest.OS_IOS: "ios",
    rta_pb2.RtaRequest.OS_ANDROID: "android",
    rta_pb2.RtaRequest.OS_WINDOWS: "windows",
    rta_pb2.RtaRequest.OS_MAC: "mac",
    rta_pb2.RtaRequest.OS_HARMONY: "harmony",
}
_FORMATS: Final[dict[int, Format]] = {
    rta_slot_pb2.SLOT_FORMAT_BANNER: "banner",
    rta_slot_pb2.SLOT_FORMAT_VIDEO: "video",
    rta_slot_pb2.SLOT_FORMAT_NATIVE: "native",
    rta_slot_pb2.SLOT_FORMAT_SPLASH: "splash",
}


def read(body: bytes) -> rta_pb2.RtaRequest | None:
    """The question, or None: no such message."""
    message = rta_pb2.RtaRequest()
    try:
        message.ParseFromString(body)
    except (DecodeError, UnicodeDecodeError):
        return None
    return message


def read_slot(body: bytes) -> rta_slot_pb2.SlotQuestion | None:
    """The question with its slots, or None: no such message."""
    message = rta_slot_pb2.SlotQuestion()
    try:
        message.ParseFromString(body)
    except (DecodeError, UnicodeDecodeError):
        return None
    return message


def question_of(message: rta_pb2.RtaRequest, slots: tuple[Slot, ...] = ()) -> Question:
    """The decision's question."""
    device = message.device
    doubtful = device.doubtful_ids_list
    ids = []
    for field, kind, doubt in _IDS:
        value = getattr(device, field).lower()
        if len(value) == _MD5_LENGTH and doubt not in doubtful and _HEX.issuperset(value):
            ids.append((kind, "md5", value))
    targets = frozenset(info.out_target_id for info in message.ad_infos if info.out_target_id)
    return Question(tuple(ids), _OS.get(device.os, ""), message.siteset_id, targets, slots, message.is_test)


def slots_of(message: rta_slot_pb2.SlotQuestion) -> tuple[Slot, ...]:
    """The slots of a question."""
    return tuple(Slot(s.id, _FORMATS.get(s.format), s.floor_cpm_micros) for s in message.slots)


def code_only(request_id: str, code: int) -> rta_pb2.RtaResponse:
    """An answer of a code and the question's id: to a ping, or where nothing can be decided."""
    return rta_pb2.RtaResponse(request_id=request_id, code=code)


def answer_of(request_id: str, answer: Answer, took_ms: int) -> rta_pb2.RtaResponse:
    """The answer's message."""
    message = rta_pb2.RtaResponse(
        request_id=request_id,
        code=CODE_TAKES_PART if answer.targets else CODE_DECLINES,
        processing_time_ms=took_ms,
        response_cache_time=answer.cache_s,
    )
    for target in answer.targets:
        strategy = target.strategy
        message.out_target_id.append(strategy.id)
        info = message.target_infos.add(out_target_id=strategy.id, user_weight_factor=target.factor)
        if strategy.cpc_price:
            info.cpc_price = strategy.cpc_price
        if strategy.cpa_price:
            info.cpa_price = strategy.cpa_price
        if strategy.advertiser_id:
            info.advertiser_id = strategy.advertiser_id
    return message


def slot_answer(response: rta_pb2.RtaResponse, answer: Answer | None) -> rta_slot_pb2.SlotAnswer:
    """The answer to a question with slots: the same, and who takes part where."""
    message = rta_slot_pb2.SlotAnswer(response=response)
    by_slot: dict[str, list[str]] = {}
    for target in answer.targets if answer is not None else ():
        for slot in target.slots:
            by_slot.setdefault(slot, []).append(target.strategy.id)
    for slot, strategies in by_slot.items():
        message.slots.add(slot_id=slot, out_target_id=strategies)
    return message
