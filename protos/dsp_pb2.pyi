from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateAdvertiserRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CreateAdvertiserResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CreateCampaignRequest(_message.Message):
    __slots__ = ("definition",)
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    definition: bytes
    def __init__(self, definition: _Optional[bytes] = ...) -> None: ...

class CreateCampaignResponse(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class PauseCampaignRequest(_message.Message):
    __slots__ = ("name", "paused")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    name: str
    paused: bool
    def __init__(self, name: _Optional[str] = ..., paused: _Optional[bool] = ...) -> None: ...

class PauseCampaignResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetCampaignRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetCampaignResponse(_message.Message):
    __slots__ = ("campaign",)
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    campaign: Campaign
    def __init__(self, campaign: _Optional[_Union[Campaign, _Mapping]] = ...) -> None: ...

class ListCampaignsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCampaignsResponse(_message.Message):
    __slots__ = ("campaigns",)
    CAMPAIGNS_FIELD_NUMBER: _ClassVar[int]
    campaigns: _containers.RepeatedCompositeFieldContainer[Campaign]
    def __init__(self, campaigns: _Optional[_Iterable[_Union[Campaign, _Mapping]]] = ...) -> None: ...

class Campaign(_message.Message):
    __slots__ = ("number", "name", "paused", "definition", "currency", "stages")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    number: int
    name: str
    paused: bool
    definition: bytes
    currency: str
    stages: _containers.RepeatedCompositeFieldContainer[StageMoney]
    def __init__(self, number: _Optional[int] = ..., name: _Optional[str] = ..., paused: _Optional[bool] = ..., definition: _Optional[bytes] = ..., currency: _Optional[str] = ..., stages: _Optional[_Iterable[_Union[StageMoney, _Mapping]]] = ...) -> None: ...

class StageMoney(_message.Message):
    __slots__ = ("name", "budget_nanos", "charged_nanos", "held_nanos", "heads", "heads_won")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BUDGET_NANOS_FIELD_NUMBER: _ClassVar[int]
    CHARGED_NANOS_FIELD_NUMBER: _ClassVar[int]
    HELD_NANOS_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    HEADS_WON_FIELD_NUMBER: _ClassVar[int]
    name: str
    budget_nanos: int
    charged_nanos: int
    held_nanos: int
    heads: int
    heads_won: int
    def __init__(self, name: _Optional[str] = ..., budget_nanos: _Optional[int] = ..., charged_nanos: _Optional[int] = ..., held_nanos: _Optional[int] = ..., heads: _Optional[int] = ..., heads_won: _Optional[int] = ...) -> None: ...

class ReportCampaignRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ReportCampaignResponse(_message.Message):
    __slots__ = ("lines",)
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[ReportLine]
    def __init__(self, lines: _Optional[_Iterable[_Union[ReportLine, _Mapping]]] = ...) -> None: ...

class ReportLine(_message.Message):
    __slots__ = ("hour", "exchange", "event", "number", "nanos")
    HOUR_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    NANOS_FIELD_NUMBER: _ClassVar[int]
    hour: int
    exchange: str
    event: str
    number: int
    nanos: int
    def __init__(self, hour: _Optional[int] = ..., exchange: _Optional[str] = ..., event: _Optional[str] = ..., number: _Optional[int] = ..., nanos: _Optional[int] = ...) -> None: ...
