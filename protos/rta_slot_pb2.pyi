from protos import rta_pb2 as _rta_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SlotFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SLOT_FORMAT_UNKNOWN: _ClassVar[SlotFormat]
    SLOT_FORMAT_BANNER: _ClassVar[SlotFormat]
    SLOT_FORMAT_VIDEO: _ClassVar[SlotFormat]
    SLOT_FORMAT_NATIVE: _ClassVar[SlotFormat]
    SLOT_FORMAT_SPLASH: _ClassVar[SlotFormat]
SLOT_FORMAT_UNKNOWN: SlotFormat
SLOT_FORMAT_BANNER: SlotFormat
SLOT_FORMAT_VIDEO: SlotFormat
SLOT_FORMAT_NATIVE: SlotFormat
SLOT_FORMAT_SPLASH: SlotFormat

class Slot(_message.Message):
    __slots__ = ("id", "format", "width", "height", "floor_cpm_micros")
    ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FLOOR_CPM_MICROS_FIELD_NUMBER: _ClassVar[int]
    id: str
    format: SlotFormat
    width: int
    height: int
    floor_cpm_micros: int
    def __init__(self, id: _Optional[str] = ..., format: _Optional[_Union[SlotFormat, str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., floor_cpm_micros: _Optional[int] = ...) -> None: ...

class SlotQuestion(_message.Message):
    __slots__ = ("request", "slots")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    request: _rta_pb2.RtaRequest
    slots: _containers.RepeatedCompositeFieldContainer[Slot]
    def __init__(self, request: _Optional[_Union[_rta_pb2.RtaRequest, _Mapping]] = ..., slots: _Optional[_Iterable[_Union[Slot, _Mapping]]] = ...) -> None: ...

class SlotTargets(_message.Message):
    __slots__ = ("slot_id", "out_target_id")
    SLOT_ID_FIELD_NUMBER: _ClassVar[int]
    OUT_TARGET_ID_FIELD_NUMBER: _ClassVar[int]
    slot_id: str
    out_target_id: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, slot_id: _Optional[str] = ..., out_target_id: _Optional[_Iterable[str]] = ...) -> None: ...

class SlotAnswer(_message.Message):
    __slots__ = ("response", "slots")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    response: _rta_pb2.RtaResponse
    slots: _containers.RepeatedCompositeFieldContainer[SlotTargets]
    def __init__(self, response: _Optional[_Union[_rta_pb2.RtaResponse, _Mapping]] = ..., slots: _Optional[_Iterable[_Union[SlotTargets, _Mapping]]] = ...) -> None: ...
