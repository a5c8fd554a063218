"""A witness of the log, as its specification describes it: C2SP tlog-cosignature (v1)."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.domain.notes import COSIGNATURE_V1, NoteSignature, VerifierKey, write_signature


def cosigned(text, *, at, seed=bytes(32)):
    """Return a witness's public key, and its line under a checkpoint's text."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes_raw()
    key = VerifierKey(name="witness.example/w1", algorithm=COSIGNATURE_V1, public=public)
    signature = private.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
    blob = at.to_bytes(8, "big") + signature
    line = NoteSignature(name=key.name, key_id=key.key_id, signature=blob)
    return key, write_signature(line)
