"""Between protobuf messages and the clean room's own values, for the services and the member's session."""

from __future__ import annotations

from collections.abc import Mapping

from cleanroom.evaluation import Batch, KeyDocument
from cleanroom.member.collaboration import Collaboration, verified
from keys.identity import PartyPublic
from protos import cleanroom_pb2 as pb


def collaboration(message: pb.Collaboration, known: Mapping[str, PartyPublic], now_ms: int) -> Collaboration:
    """What the room says of a collaboration, checked. Raises: as ``verified``."""
    return verified(
        id=message.collaboration,
        state=message.state,
        contract=message.contract,
        signatures=list(message.signatures),
        room_key=message.room_key,
        room_signature=message.room_signature,
        epoch=message.epoch,
        known=known,
        now_ms=now_ms,
    )


def batch_request(batch: Batch, signature: bytes) -> pb.EvaluateRequest:
    """A signed batch as it travels; the contract hash is known to all sides and does not."""
    return pb.EvaluateRequest(
        collaboration=batch.collaboration,
        epoch=batch.epoch,
        sender=batch.sender,
        sequence=batch.sequence,
        blinded=batch.blinded,
        signature=signature,
    )


def batch(message: pb.EvaluateRequest, contract_hash: bytes) -> Batch:
    """The batch of a request, under the contract its receiver holds for the collaboration."""
    return Batch(message.collaboration, contract_hash, message.epoch, message.sender, message.sequence, message.blinded)


def key_announcement(document: KeyDocument, signature: bytes) -> pb.KeyAnnouncement:
    """A provider's announcement as it travels."""
    return pb.KeyAnnouncement(
        collaboration=document.collaboration,
        epoch=document.epoch,
        provider=document.provider,
        public_key=document.public_key,
        signature=signature,
    )


def key_document(message: pb.KeyAnnouncement, contract_hash: bytes) -> KeyDocument:
    """The document an announcement is the signature of."""
    return KeyDocument(message.collaboration, contract_hash, message.epoch, message.provider, message.public_key)
