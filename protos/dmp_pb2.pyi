from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SealedPart(_message.Message):
    __slots__ = ("terms", "data")
    TERMS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    terms: OpenTerms
    data: bytes
    def __init__(self, terms: _Optional[_Union[OpenTerms, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class OpenTerms(_message.Message):
    __slots__ = ("name", "table_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    table_id: str
    def __init__(self, name: _Optional[str] = ..., table_id: _Optional[str] = ...) -> None: ...

class Table(_message.Message):
    __slots__ = ("table_id", "dataset", "sender", "rows", "keys", "rejected", "created_ms")
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    CREATED_MS_FIELD_NUMBER: _ClassVar[int]
    table_id: str
    dataset: str
    sender: str
    rows: int
    keys: int
    rejected: int
    created_ms: int
    def __init__(self, table_id: _Optional[str] = ..., dataset: _Optional[str] = ..., sender: _Optional[str] = ..., rows: _Optional[int] = ..., keys: _Optional[int] = ..., rejected: _Optional[int] = ..., created_ms: _Optional[int] = ...) -> None: ...

class ListTablesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TableList(_message.Message):
    __slots__ = ("tables",)
    TABLES_FIELD_NUMBER: _ClassVar[int]
    tables: _containers.RepeatedCompositeFieldContainer[Table]
    def __init__(self, tables: _Optional[_Iterable[_Union[Table, _Mapping]]] = ...) -> None: ...

class Audience(_message.Message):
    __slots__ = ("id", "name", "kind", "state", "collaboration", "source", "rows", "people", "keys", "created_ms", "expires_ms", "version", "receipt", "definition")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PEOPLE_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    CREATED_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    id: int
    name: str
    kind: str
    state: str
    collaboration: str
    source: str
    rows: int
    people: int
    keys: int
    created_ms: int
    expires_ms: int
    version: int
    receipt: str
    definition: str
    def __init__(self, id: _Optional[int] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[str] = ..., collaboration: _Optional[str] = ..., source: _Optional[str] = ..., rows: _Optional[int] = ..., people: _Optional[int] = ..., keys: _Optional[int] = ..., created_ms: _Optional[int] = ..., expires_ms: _Optional[int] = ..., version: _Optional[int] = ..., receipt: _Optional[str] = ..., definition: _Optional[str] = ...) -> None: ...

class AudienceRef(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListAudiencesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AudienceList(_message.Message):
    __slots__ = ("audiences",)
    AUDIENCES_FIELD_NUMBER: _ClassVar[int]
    audiences: _containers.RepeatedCompositeFieldContainer[Audience]
    def __init__(self, audiences: _Optional[_Iterable[_Union[Audience, _Mapping]]] = ...) -> None: ...

class Identifier(_message.Message):
    __slots__ = ("kind", "encoding", "value")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    encoding: str
    value: str
    def __init__(self, kind: _Optional[str] = ..., encoding: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ProfileRequest(_message.Message):
    __slots__ = ("id", "purpose")
    ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    id: Identifier
    purpose: str
    def __init__(self, id: _Optional[_Union[Identifier, _Mapping]] = ..., purpose: _Optional[str] = ...) -> None: ...

class Score(_message.Message):
    __slots__ = ("id", "value")
    ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    id: int
    value: float
    def __init__(self, id: _Optional[int] = ..., value: _Optional[float] = ...) -> None: ...

class ProfileAnswer(_message.Message):
    __slots__ = ("found", "audiences", "tags", "scores", "consent", "opted_out")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    AUDIENCES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    OPTED_OUT_FIELD_NUMBER: _ClassVar[int]
    found: bool
    audiences: _containers.RepeatedScalarFieldContainer[int]
    tags: _containers.RepeatedScalarFieldContainer[int]
    scores: _containers.RepeatedCompositeFieldContainer[Score]
    consent: bool
    opted_out: bool
    def __init__(self, found: _Optional[bool] = ..., audiences: _Optional[_Iterable[int]] = ..., tags: _Optional[_Iterable[int]] = ..., scores: _Optional[_Iterable[_Union[Score, _Mapping]]] = ..., consent: _Optional[bool] = ..., opted_out: _Optional[bool] = ...) -> None: ...

class OptOutRequest(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedCompositeFieldContainer[Identifier]
    def __init__(self, ids: _Optional[_Iterable[_Union[Identifier, _Mapping]]] = ...) -> None: ...

class OptOutAnswer(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: int
    def __init__(self, keys: _Optional[int] = ...) -> None: ...

class Definition(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class Estimate(_message.Message):
    __slots__ = ("people", "low", "high", "exact")
    PEOPLE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    people: int
    low: int
    high: int
    exact: bool
    def __init__(self, people: _Optional[int] = ..., low: _Optional[int] = ..., high: _Optional[int] = ..., exact: _Optional[bool] = ...) -> None: ...

class BuildAudienceRequest(_message.Message):
    __slots__ = ("name", "definition", "expires_ms")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    name: str
    definition: str
    expires_ms: int
    def __init__(self, name: _Optional[str] = ..., definition: _Optional[str] = ..., expires_ms: _Optional[int] = ...) -> None: ...

class ImportPart(_message.Message):
    __slots__ = ("name", "expires_ms", "ids")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    expires_ms: int
    ids: _containers.RepeatedCompositeFieldContainer[Identifier]
    def __init__(self, name: _Optional[str] = ..., expires_ms: _Optional[int] = ..., ids: _Optional[_Iterable[_Union[Identifier, _Mapping]]] = ...) -> None: ...

class DataPart(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class IngestAnswer(_message.Message):
    __slots__ = ("kept", "repeated_events", "rejected")
    class RejectedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    KEPT_FIELD_NUMBER: _ClassVar[int]
    REPEATED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    kept: int
    repeated_events: int
    rejected: _containers.ScalarMap[str, int]
    def __init__(self, kept: _Optional[int] = ..., repeated_events: _Optional[int] = ..., rejected: _Optional[_Mapping[str, int]] = ...) -> None: ...

class BuildProfilesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BuildProfilesAnswer(_message.Message):
    __slots__ = ("base", "records", "seconds")
    BASE_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    base: int
    records: int
    seconds: float
    def __init__(self, base: _Optional[int] = ..., records: _Optional[int] = ..., seconds: _Optional[float] = ...) -> None: ...
