"""A witness of C2SP tlog-witness that keeps the rules. Read `Witness.add_checkpoint`, `cosigned`.

Its own contract is `tests/contracts/test_witness.py`; `tests.loopback` serves it.
"""

from base64 import b64decode
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.domain.checkpoints import parse_checkpoint
from audit.domain.errors import NoteUnverifiedError, ProofInvalidError
from audit.domain.merkle import check_consistency
from audit.domain.notes import (
    COSIGNATURE_V1,
    NoteSignature,
    VerifierKey,
    open_note,
    write_signature,
)
from tests.loopback import Answer


def cosigned(text, *, at, seed=bytes(32)):
    """Return a witness's public key, and its line under a checkpoint's text."""
    witness = Witness(seed=seed, now=at - 1)
    return witness.vkey, witness.cosign(text)


@dataclass(kw_only=True)
class Witness:
    """What it has cosigned last, by log: (size, root). `logs` are the keys it believes."""

    name: str = "witness.example/w1"
    seed: bytes = b"w" * 32
    logs: dict[str, list[VerifierKey]] = field(default_factory=dict)
    state: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    now: int = 1_770_000_000

    @property
    def key(self):
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def vkey(self):
        public = self.key.public_key().public_bytes_raw()
        return VerifierKey(name=self.name, algorithm=COSIGNATURE_V1, public=public)

    def trust(self, origin, *keys):
        self.logs[origin] = list(keys)

    def serve(self, received):
        """Answer a request of HTTP."""
        if (received.method, received.path) != ("POST", "/w1/add-checkpoint"):
            return Answer(status=404)
        return self.add_checkpoint(received.body)

    def add_checkpoint(self, body):  # noqa: PLR0911 - one for each rule
        """Judge a request, and cosign what continues what was cosigned before."""
        head, _, note = body.decode().partition("\n\n")
        first, *lines = head.split("\n")
        word, _, number = first.partition(" ")
        if word != "old" or not number.isdigit() or len(lines) > 63:
            return Answer(status=400)
        old, path = int(number), [b64decode(line, validate=True) for line in lines]
        origin = note.partition("\n")[0]
        if origin not in self.logs:
            return Answer(status=404)
        try:
            text = open_note(note, self.logs[origin]).text
        except NoteUnverifiedError:
            return Answer(status=403)
        checkpoint = parse_checkpoint(text)
        size, root = self.state.get(origin, (0, b""))
        if old > checkpoint.size:
            return Answer(status=400)
        if old != size:
            return self._conflict(size)
        if old == checkpoint.size and old and root != checkpoint.root:
            return self._conflict(size)
        if old and not self._continues(size, root, checkpoint, path):
            return Answer(status=422)
        if not old and path:
            return Answer(status=422)
        self.state[origin] = (checkpoint.size, checkpoint.root)
        return Answer(body=self.cosign(text).encode())

    def _continues(self, size, root, checkpoint, path):
        try:
            check_consistency(
                first=size,
                first_root=root,
                second=checkpoint.size,
                second_root=checkpoint.root,
                path=path,
            )
        except ProofInvalidError:
            return False
        return True

    def _conflict(self, size):
        return Answer(
            status=409,
            headers={"Content-Type": "text/x.tlog.size"},
            body=f"{size}\n".encode(),
        )

    def cosign(self, text):
        self.now += 1
        message = f"cosignature/v1\ntime {self.now}\n{text}".encode()
        signature = self.now.to_bytes(8, "big") + self.key.sign(message)
        return write_signature(
            NoteSignature(name=self.name, key_id=self.vkey.key_id, signature=signature)
        )
