"""The errors of keys and identities; the whole tree is drawn in protos/errors.py.

KeysError
+-- KeyInvalid            bytes that are no key of the kind asked for
+-- SignatureInvalid      a signature does not verify
+-- OpenFailed            a sealed message does not open under this key and info
+-- SealedInvalid         a sealed message is no sealed message at all
+-- PriceInvalid          an encrypted price does not verify
+-- KeystoreMissing / KeystoreExists / KeystoreLocked / KeystoreInvalid
+-- SecretNameInvalid / SecretMissing / SecretExists / SecretDestroyed / SecretCorrupt
+-- PassphraseMissing / PassphraseExposed
+-- PartyInvalid / PartyMissing / PartyExists / IdentityInconsistent
+-- CertificateInvalid / CertificateExpired / CertificateRevoked / RevocationInvalid
+-- ShareInvalid          shares that do not make the secret
+-- RotationInvalid       no key is in force, or periods that do not fit
"""

from __future__ import annotations

from protos.errors import Fault, SealbidError


class KeysError(SealbidError):
    """Root of the errors of keys and identities."""

    code = "keys"


class KeyInvalid(KeysError):
    """The bytes are no key of the kind asked for."""

    code = "key-invalid"
    fault = Fault.INVALID


class SignatureInvalid(KeysError):
    """The signature does not verify under this key, domain and message (RFC 8032, 5.1.7)."""

    code = "signature-invalid"
    fault = Fault.UNAUTHENTICATED


class SealedInvalid(KeysError):
    """The message is too short or of another suite: it was not sealed to this key."""

    code = "sealed-invalid"
    fault = Fault.INVALID


class OpenFailed(KeysError):
    """The sealed message does not open: another key, other info, or changed bytes (RFC 9180, OpenError)."""

    code = "open-failed"
    fault = Fault.INVALID


class PriceInvalid(KeysError):
    """The encrypted price is malformed or fails its integrity check."""

    code = "price-invalid"
    fault = Fault.INVALID


class KeystoreMissing(KeysError):
    """There is no keystore at this path."""

    code = "keystore-missing"
    fault = Fault.NOT_FOUND


class KeystoreExists(KeysError):
    """A keystore is there already and a new one was asked for."""

    code = "keystore-exists"
    fault = Fault.CONFLICT


class KeystoreLocked(KeysError):
    """The passphrase does not open this keystore."""

    code = "keystore-locked"
    fault = Fault.UNAUTHENTICATED


class KeystoreInvalid(KeysError):
    """The keystore's header is damaged, of another version, or asks for unreasonable work."""

    code = "keystore-invalid"
    fault = Fault.CORRUPT


class SecretNameInvalid(KeysError):
    """A secret's name or kind has characters a keystore does not take."""

    code = "secret-name-invalid"
    fault = Fault.INVALID


class SecretMissing(KeysError):
    """The keystore holds no secret of this name and kind."""

    code = "secret-missing"
    fault = Fault.NOT_FOUND


class SecretExists(KeysError):
    """The keystore holds a secret of this name already; secrets are never overwritten."""

    code = "secret-exists"
    fault = Fault.CONFLICT


class SecretDestroyed(KeysError):
    """The secret of this name was destroyed; a copy from a backup is refused."""

    code = "secret-destroyed"
    fault = Fault.STATE


class SecretCorrupt(KeysError):
    """A secret's file fails its integrity check: changed, moved from another name, or of another keystore."""

    code = "secret-corrupt"
    fault = Fault.CORRUPT


class PassphraseMissing(KeysError):
    """No passphrase was given, or it is empty."""

    code = "passphrase-missing"
    fault = Fault.INVALID


class PassphraseExposed(KeysError):
    """The passphrase file may be read by others than its owner."""

    code = "passphrase-exposed"
    fault = Fault.FORBIDDEN


class PartyInvalid(KeysError):
    """A party's name is no DNS label, or its party.json is malformed."""

    code = "party-invalid"
    fault = Fault.INVALID


class PartyMissing(KeysError):
    """The folder holds no party identity, or lacks one of its files."""

    code = "party-missing"
    fault = Fault.NOT_FOUND


class PartyExists(KeysError):
    """A folder of this party is there already; identities are never overwritten."""

    code = "party-exists"
    fault = Fault.CONFLICT


class IdentityInconsistent(KeysError):
    """A party's files do not belong together: party.json, keystore and certificate must name the same keys."""

    code = "identity-inconsistent"
    fault = Fault.CORRUPT


class CertificateInvalid(KeysError):
    """A certificate does not parse, is not yet valid, or was not issued by this CA."""

    code = "certificate-invalid"
    fault = Fault.UNAUTHENTICATED


class CertificateExpired(KeysError):
    """A certificate's validity has ended."""

    code = "certificate-expired"
    fault = Fault.UNAUTHENTICATED


class CertificateRevoked(KeysError):
    """A certificate or a signing key is on the revocation list."""

    code = "certificate-revoked"
    fault = Fault.UNAUTHENTICATED


class RevocationInvalid(KeysError):
    """A revocation list is malformed, unsigned, or older than one already seen."""

    code = "revocation-invalid"
    fault = Fault.INVALID


class ShareInvalid(KeysError):
    """The shares given do not make the secret: too few, of different secrets, or damaged."""

    code = "share-invalid"
    fault = Fault.INVALID


class RotationInvalid(KeysError):
    """No key is in force at this time, or a rotation's periods do not fit each other."""

    code = "rotation-invalid"
    fault = Fault.STATE
