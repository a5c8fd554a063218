"""Signed notes: the published keys and notes, and what is refused."""

import traceback
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256

import pytest

from audit.domain.errors import NoteInvalidError, NoteUnverifiedError
from audit.domain.notes import (
    ED25519,
    NOTE_BYTES_MAX,
    SIGNATURE_COUNT_MAX,
    Note,
    SigningKey,
    VerifierKey,
    check_key_name,
    open_note,
    parse_note,
    write_note,
    write_signature,
)
from tests.fakes.streams import every_flip
from tests.fakes.witness import cosigned

# The keys and the note with which Go's sumdb/note is tested.
PETER_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb"
    "6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33W"
    "Wd1RvMc+QQ=\n"
)
NOTE = f"{TEXT}\n{PETER_LINE}{ENOCH_LINE}"
PETER_KEY, ENOCH_KEY = VerifierKey.parse(PETER), VerifierKey.parse(ENOCH)


def test_the_published_keys_are_read_and_written_back():
    signing = SigningKey.parse(PETER_SECRET)

    assert signing.verifier == PETER_KEY
    assert signing.text == PETER_SECRET
    assert (PETER_KEY.text, ENOCH_KEY.text) == (PETER, ENOCH)
    assert PETER_KEY.key_id.hex() == "c74f20a3"
    assert PETER_KEY.algorithm == ED25519


def test_the_published_note_is_signed_to_the_byte():
    signing = SigningKey.parse(PETER_SECRET)

    written = write_note(Note(text=TEXT, signatures=(signing.sign(TEXT),)))

    assert written == f"{TEXT}\n{PETER_LINE}"


def test_the_published_note_opens_for_either_key_and_for_both():
    for keys in ([PETER_KEY], [ENOCH_KEY], [PETER_KEY, ENOCH_KEY]):
        opened = open_note(NOTE, keys)
        assert opened.text == TEXT
        assert [item.key for item in opened.signed] == keys
        assert [item.at for item in opened.signed] == [None] * len(keys)


def test_a_note_nobody_trusted_signed_is_refused_and_says_who_did():
    with pytest.raises(NoteUnverifiedError, match=r"PeterNeumann\+c74f20a3, EnochRoot\+af0cfe78"):
        open_note(NOTE, [])
    # Name and id together say which key; either alone is another's.
    for other in (replace(PETER_KEY, name="Peter"), replace(PETER_KEY, public=bytes(32))):
        with pytest.raises(NoteUnverifiedError, match="None of the trusted"):
            open_note(f"{TEXT}\n{PETER_LINE}", [other])


def test_every_bit_of_a_signature_and_of_the_text_counts():
    line = parse_note(f"{TEXT}\n{PETER_LINE}").signatures[0]

    for forged in every_flip(line.signature):
        note = write_note(Note(text=TEXT, signatures=(replace(line, signature=forged),)))
        with pytest.raises(NoteUnverifiedError):
            open_note(note, [PETER_KEY])
    for forged in every_flip(TEXT.encode()):
        try:
            note = write_note(Note(text=forged.decode(), signatures=(line,)))
        except (UnicodeDecodeError, NoteInvalidError):
            continue
        with pytest.raises(NoteUnverifiedError):
            open_note(note, [PETER_KEY])


def test_a_false_signature_of_a_trusted_key_spoils_what_another_signed():
    line = parse_note(f"{TEXT}\n{ENOCH_LINE}").signatures[0]
    false = write_signature(replace(line, signature=bytes(64)))

    with pytest.raises(NoteUnverifiedError, match=r"EnochRoot.*does not hold"):
        open_note(f"{TEXT}\n{PETER_LINE}{false}", [PETER_KEY, ENOCH_KEY])
    # To whom that key is unknown, its line says nothing.
    assert open_note(f"{TEXT}\n{PETER_LINE}{false}", [PETER_KEY]).text == TEXT


def test_a_key_that_signed_twice_counts_once():
    opened = open_note(f"{TEXT}\n{PETER_LINE}{PETER_LINE}", [PETER_KEY])

    assert [item.key for item in opened.signed] == [PETER_KEY]


def test_a_signature_of_another_length_is_refused():
    line = parse_note(f"{TEXT}\n{PETER_LINE}").signatures[0]

    for forged in (line.signature[:-1], line.signature + b"\0", b"\0"):
        note = write_note(Note(text=TEXT, signatures=(replace(line, signature=forged),)))
        with pytest.raises(NoteUnverifiedError, match="does not hold"):
            open_note(note, [PETER_KEY])


def test_a_witness_says_when_it_signed():
    key, line = cosigned(TEXT, at=1_679_315_147)
    note = f"{TEXT}\n{PETER_LINE}{line}"

    opened = open_note(note, [PETER_KEY, key])

    assert [(item.key, item.at) for item in opened.signed] == [
        (PETER_KEY, None),
        (key, 1_679_315_147),
    ]
    assert VerifierKey.parse(key.text) == key


def test_a_witness_signed_the_time_too_and_no_time_beyond_all_times():
    key, signed = cosigned(TEXT, at=1_679_315_147)
    note = f"{TEXT}\n{signed}"
    line = parse_note(note).signatures[0]

    for forged in every_flip(line.signature[:8]):
        changed = replace(line, signature=forged + line.signature[8:])
        with pytest.raises(NoteUnverifiedError):
            open_note(write_note(Note(text=TEXT, signatures=(changed,))), [key])
    with pytest.raises(NoteUnverifiedError, match="no time"):
        open_note(f"{TEXT}\n{cosigned(TEXT, at=2**63)[1]}", [key])
    assert open_note(f"{TEXT}\n{cosigned(TEXT, at=2**63 - 1)[1]}", [key]).signed[0].at == 2**63 - 1
    # The same key as a plain one has another id, and its signature says another thing.
    plain = replace(key, algorithm=ED25519)
    assert plain.key_id != key.key_id
    with pytest.raises(NoteUnverifiedError):
        open_note(note, [plain])


def test_every_mangling_of_a_public_key_is_refused():
    for start in range(len(PETER)):
        for end in range(start, len(PETER) + 1):
            if (start, end) != (0, len(PETER)):
                with pytest.raises(NoteInvalidError):
                    VerifierKey.parse(PETER[start:end])
    for index in range(len(PETER)):
        changed = PETER[:index] + chr(ord(PETER[index]) + 1) + PETER[index + 1 :]
        with pytest.raises(NoteInvalidError):
            VerifierKey.parse(changed)


def test_keys_of_another_type_or_length_are_refused_although_their_id_is_right():
    public = PETER_KEY.public
    for blob in (b"\x02" + public, b"\x01" + public + b"\0", b"\x01" + public[:-1], b"\x01"):
        line = _line_of("PeterNeumann", blob)
        with pytest.raises(NoteInvalidError):
            VerifierKey.parse(line)
        with pytest.raises(NoteInvalidError):
            SigningKey.parse(f"PRIVATE+KEY+{line}")
    with pytest.raises(NoteInvalidError, match="type"):
        SigningKey.parse(f"PRIVATE+KEY+{_line_of('PeterNeumann', bytes([4]) + public)}")


def test_every_mangling_of_a_private_key_is_refused_and_none_is_shown():
    secret = PETER_SECRET.split("+", 4)[4]
    for end in range(len(PETER_SECRET)):
        _refused_quietly(PETER_SECRET[:end], secret)
        _refused_quietly(PETER_SECRET[end + 1 :], secret)
        changed = PETER_SECRET[:end] + chr(ord(PETER_SECRET[end]) + 1) + PETER_SECRET[end + 1 :]
        _refused_quietly(changed, secret)
    _refused_quietly(PETER_SECRET + "A", secret)
    _refused_quietly(PETER_SECRET + "A=", secret)
    assert secret[:12] not in repr(SigningKey.parse(PETER_SECRET))


def test_a_new_key_signs_what_its_public_key_opens():
    key = SigningKey.generate("ledger.example/prod", seed=sha256(b"seed").digest())

    note = write_note(Note(text="hi\n", signatures=(key.sign("hi\n"),)))

    assert open_note(note, [VerifierKey.parse(key.verifier.text)]).text == "hi\n"
    assert SigningKey.parse(key.text) == key


def test_names_that_cannot_stand_in_a_note_are_refused():
    for name in ("", "a b", "a+b", "a\nb", "a\u2003b", "a\u0001b", "\ud800", "x" * 256):
        with pytest.raises(NoteInvalidError):
            check_key_name(name)
        with pytest.raises(NoteInvalidError):
            SigningKey.generate(name, seed=bytes(32))
    check_key_name("x" * 255)
    check_key_name("schlüssel.example/ä")


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        f"{TEXT}\n",
        f"{TEXT}\n{PETER_LINE[:-1]}",
        f"{TEXT}{PETER_LINE}",
        f"\n{PETER_LINE}",
        f"\n\n{PETER_LINE}",
        f"\x01{TEXT}\n{PETER_LINE}",
        f"{TEXT}\t\n\n{PETER_LINE}",
        f"\ud800{TEXT}\n{PETER_LINE}",
        f"{TEXT}\n— Bad Name {PETER_LINE.split(' ')[2]}",
        f"{TEXT}\n— Bad\x01Name {PETER_LINE.split(' ')[2]}",
        f"{TEXT}\n— Bad\ud800Name {PETER_LINE.split(' ')[2]}",
        f"{TEXT}\n— {'x' * 256} {PETER_LINE.split(' ')[2]}",
        f"{TEXT}\n{PETER_LINE}Unexpected line.\n",
        f"{TEXT}\n-{PETER_LINE[1:]}",
        f"{TEXT}\n {PETER_LINE}",
        f"{TEXT}\n{PETER_LINE[:-1]} \n",
        f"{TEXT}\n{PETER_LINE[:-1]}x",
        f"{TEXT}\n{PETER_LINE}\n",
        f"{TEXT}\n— PeterNeumann AAAA\n",
        f"{TEXT}\n— PeterNeumann x08gow==\n",
        f"{TEXT}\n— PeterNeumann x08go/Zh=\n",
        f"{TEXT}\n— PeterNeumann x08go/Y=\n"[:-2] + "B=\n",
        f"{TEXT}\n— PeterNeumann {'A' * 5}\n",
    ],
)
def test_what_is_not_a_note_is_refused(note):
    with pytest.raises(NoteInvalidError):
        parse_note(note)


def test_a_text_may_hold_empty_lines_and_what_is_no_control_character():
    text = "a\n\n\nb\x7fü — c\n\n"
    key = SigningKey.parse(PETER_SECRET)
    note = write_note(Note(text=text, signatures=(key.sign(text),)))

    assert open_note(note, [PETER_KEY]).text == text


def test_large_notes_and_many_signatures_are_refused():
    key = SigningKey.parse(PETER_SECRET)
    line = key.sign(TEXT)
    parse_note(f"{TEXT}\n{PETER_LINE * SIGNATURE_COUNT_MAX}")

    with pytest.raises(NoteInvalidError, match="at most 32"):
        parse_note(f"{TEXT}\n{PETER_LINE * (SIGNATURE_COUNT_MAX + 1)}")
    with pytest.raises(NoteInvalidError, match="at most 65536 bytes"):
        parse_note(f"{'ü' * (NOTE_BYTES_MAX // 2)}\n\n{PETER_LINE}")
    for count in (0, SIGNATURE_COUNT_MAX + 1):
        with pytest.raises(NoteInvalidError, match="1 to 32"):
            write_note(Note(text=TEXT, signatures=(line,) * count))
    for text in ("", "\n", "abc", "a\x00b\n", "\ud800\n"):
        with pytest.raises(NoteInvalidError):
            write_note(Note(text=text, signatures=(line,)))
        with pytest.raises(NoteInvalidError):
            key.sign(text)


def _line_of(name, blob):
    """Return a key's line with the id it would have."""
    key_id = sha256(name.encode() + b"\n" + blob).digest()[:4]
    return f"{name}+{key_id.hex()}+{b64encode(blob).decode()}"


def _refused_quietly(line, secret):
    with pytest.raises(NoteInvalidError) as caught:
        SigningKey.parse(line)
    told = "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__cause__ is None
    assert not any(secret[i : i + 12] in told for i in range(len(secret) - 11))
