from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProposeRequest(_message.Message):
    __slots__ = ("contract",)
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    contract: bytes
    def __init__(self, contract: _Optional[bytes] = ...) -> None: ...

class SignRequest(_message.Message):
    __slots__ = ("collaboration", "party", "signature")
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    collaboration: str
    party: str
    signature: bytes
    def __init__(self, collaboration: _Optional[str] = ..., party: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class CollaborationRef(_message.Message):
    __slots__ = ("collaboration",)
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    collaboration: str
    def __init__(self, collaboration: _Optional[str] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CollaborationList(_message.Message):
    __slots__ = ("collaborations",)
    COLLABORATIONS_FIELD_NUMBER: _ClassVar[int]
    collaborations: _containers.RepeatedCompositeFieldContainer[Collaboration]
    def __init__(self, collaborations: _Optional[_Iterable[_Union[Collaboration, _Mapping]]] = ...) -> None: ...

class Collaboration(_message.Message):
    __slots__ = ("collaboration", "state", "contract", "contract_hash", "signatures", "room_key", "room_signature", "epoch", "receipt")
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_HASH_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    ROOM_KEY_FIELD_NUMBER: _ClassVar[int]
    ROOM_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    collaboration: str
    state: str
    contract: bytes
    contract_hash: bytes
    signatures: _containers.RepeatedScalarFieldContainer[bytes]
    room_key: bytes
    room_signature: bytes
    epoch: int
    receipt: Receipt
    def __init__(self, collaboration: _Optional[str] = ..., state: _Optional[str] = ..., contract: _Optional[bytes] = ..., contract_hash: _Optional[bytes] = ..., signatures: _Optional[_Iterable[bytes]] = ..., room_key: _Optional[bytes] = ..., room_signature: _Optional[bytes] = ..., epoch: _Optional[int] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class KeyAnnouncement(_message.Message):
    __slots__ = ("collaboration", "epoch", "provider", "public_key", "signature")
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    collaboration: str
    epoch: int
    provider: str
    public_key: bytes
    signature: bytes
    def __init__(self, collaboration: _Optional[str] = ..., epoch: _Optional[int] = ..., provider: _Optional[str] = ..., public_key: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class DestroyedKeys(_message.Message):
    __slots__ = ("collaboration", "epochs")
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    collaboration: str
    epochs: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, collaboration: _Optional[str] = ..., epochs: _Optional[_Iterable[int]] = ...) -> None: ...

class EvaluateRequest(_message.Message):
    __slots__ = ("collaboration", "epoch", "sender", "sequence", "blinded", "signature")
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BLINDED_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    collaboration: str
    epoch: int
    sender: str
    sequence: int
    blinded: bytes
    signature: bytes
    def __init__(self, collaboration: _Optional[str] = ..., epoch: _Optional[int] = ..., sender: _Optional[str] = ..., sequence: _Optional[int] = ..., blinded: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class EvaluateResponse(_message.Message):
    __slots__ = ("sealed",)
    SEALED_FIELD_NUMBER: _ClassVar[int]
    sealed: bytes
    def __init__(self, sealed: _Optional[bytes] = ...) -> None: ...

class UploadBegin(_message.Message):
    __slots__ = ("collaboration", "preamble", "chunks", "root", "signature", "consent")
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    PREAMBLE_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    collaboration: str
    preamble: bytes
    chunks: int
    root: bytes
    signature: bytes
    consent: bytes
    def __init__(self, collaboration: _Optional[str] = ..., preamble: _Optional[bytes] = ..., chunks: _Optional[int] = ..., root: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., consent: _Optional[bytes] = ...) -> None: ...

class UploadRef(_message.Message):
    __slots__ = ("upload",)
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    upload: str
    def __init__(self, upload: _Optional[str] = ...) -> None: ...

class UploadChunk(_message.Message):
    __slots__ = ("upload", "index", "data")
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    upload: str
    index: int
    data: bytes
    def __init__(self, upload: _Optional[str] = ..., index: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class UploadStatus(_message.Message):
    __slots__ = ("upload", "next_chunk", "committed", "receipt")
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    NEXT_CHUNK_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    upload: str
    next_chunk: int
    committed: bool
    receipt: Receipt
    def __init__(self, upload: _Optional[str] = ..., next_chunk: _Optional[int] = ..., committed: _Optional[bool] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class MatchRequest(_message.Message):
    __slots__ = ("collaboration",)
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    collaboration: str
    def __init__(self, collaboration: _Optional[str] = ...) -> None: ...

class MatchReply(_message.Message):
    __slots__ = ("match", "commitment", "receipt")
    MATCH_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    match: str
    commitment: bytes
    receipt: Receipt
    def __init__(self, match: _Optional[str] = ..., commitment: _Optional[bytes] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class TrainRequest(_message.Message):
    __slots__ = ("collaboration", "seed")
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    collaboration: str
    seed: int
    def __init__(self, collaboration: _Optional[str] = ..., seed: _Optional[int] = ...) -> None: ...

class JobRef(_message.Message):
    __slots__ = ("collaboration", "job")
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    collaboration: str
    job: str
    def __init__(self, collaboration: _Optional[str] = ..., job: _Optional[str] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("job", "state", "code", "message")
    JOB_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    job: str
    state: str
    code: str
    message: str
    def __init__(self, job: _Optional[str] = ..., state: _Optional[str] = ..., code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class ActivateRequest(_message.Message):
    __slots__ = ("collaboration", "job", "size", "recipient", "expires_ms")
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    collaboration: str
    job: str
    size: int
    recipient: str
    expires_ms: int
    def __init__(self, collaboration: _Optional[str] = ..., job: _Optional[str] = ..., size: _Optional[int] = ..., recipient: _Optional[str] = ..., expires_ms: _Optional[int] = ...) -> None: ...

class AudienceRef(_message.Message):
    __slots__ = ("collaboration", "audience")
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    collaboration: str
    audience: str
    def __init__(self, collaboration: _Optional[str] = ..., audience: _Optional[str] = ...) -> None: ...

class Blob(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class ReleaseReply(_message.Message):
    __slots__ = ("payload", "receipt", "audience")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    receipt: Receipt
    audience: str
    def __init__(self, payload: _Optional[bytes] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ..., audience: _Optional[str] = ...) -> None: ...

class LogPath(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class LogBytes(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class Disclosure(_message.Message):
    __slots__ = ("index", "salt", "entry")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    index: int
    salt: bytes
    entry: bytes
    def __init__(self, index: _Optional[int] = ..., salt: _Optional[bytes] = ..., entry: _Optional[bytes] = ...) -> None: ...

class ProveRequest(_message.Message):
    __slots__ = ("collaboration", "index")
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    collaboration: str
    index: int
    def __init__(self, collaboration: _Optional[str] = ..., index: _Optional[int] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("index", "salt", "entry", "proof", "checkpoint")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    index: int
    salt: bytes
    entry: bytes
    proof: _containers.RepeatedScalarFieldContainer[bytes]
    checkpoint: bytes
    def __init__(self, index: _Optional[int] = ..., salt: _Optional[bytes] = ..., entry: _Optional[bytes] = ..., proof: _Optional[_Iterable[bytes]] = ..., checkpoint: _Optional[bytes] = ...) -> None: ...
