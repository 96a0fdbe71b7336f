"""Small damage, the kind that an interrupted copy does and the kind that an attacker does."""

import io
import json
import random
import zipfile

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)
OPCODES = b"(.012FIJKLMNPQRSTUVXabcd}eghijloprstu\x80\x81\x82\x85\x86\x88\x8a\x8c\x93\x94\x95\x96"
NAMES = (b"os", b"system", b"builtins", b"eval", b"getattr", b"torch", b"collections")


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return the bytes with one to four changes, some where the format's own sums still hold."""
    kind = chance.random()
    if kind < 0.5 and data[:2] == b"PK":
        return _in_archive(data, chance)
    if kind < 0.5 and data[8:9] == b"{":
        return _in_header(data, chance)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        data = _changed(data, chance)
    return data


def _changed(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return bytes(chance.choices(range(256), k=8))
    at = chance.randrange(len(data))
    much = bytearray(data)
    match chance.randrange(9):
        case 0:
            return data[:at]
        case 1:
            much[at] ^= 1 << chance.randrange(8)
        case 2:
            much[at] = chance.choice(EXTREMES)
        case 3:
            much[at] = chance.choice(OPCODES)
        case 4:
            width = chance.choice((2, 4, 8))
            much[at : at + width] = bytes([chance.choice(EXTREMES)]) * width
        case 5:
            until = at + chance.randrange(64)
            much[at:at] = data[at:until]
        case 6:
            del much[at : at + chance.randrange(1, 64)]
        case 7:
            source = chance.randrange(len(data))
            length = chance.randrange(64)
            much[at : at + length] = data[source : source + length]
        case _:
            name = chance.choice(NAMES)
            much[at : at + chance.choice((0, len(name)))] = name
    return bytes(much)


def _in_archive(data: bytes, chance: random.Random) -> bytes:
    """Change one entry, and write an archive around it that is in order."""
    file = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if chance.random() < 0.05 else zipfile.ZIP_STORED
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", method) as new:
        names = old.namelist()
        pickles = [name for name in names if name.endswith("data.pkl")]
        chosen = chance.choice(pickles if pickles and chance.random() < 0.8 else names)
        for name in names:
            held = old.read(name)
            if name == chosen:
                for _ in range(chance.choice((1, 1, 1, 2, 4))):
                    held = _changed(held, chance)
            new.writestr(name if chance.random() > 0.01 else f"../{name}", held)
    return file.getvalue()


def _in_header(data: bytes, chance: random.Random) -> bytes:
    """Change a value in the header of safetensors, and its length with it."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    name = chance.choice(sorted(header))
    entry = header[name]
    match chance.randrange(6):
        case 0 if "shape" in entry:
            entry["shape"] = [chance.choice((0, 1, 2, -1, 2**62, 2**70, 1.5, "2"))] * 3
        case 1 if "data_offsets" in entry:
            entry["data_offsets"][chance.randrange(2)] += chance.choice((-1, 1, 4, 2**63, -(2**40)))
        case 2:
            entry["dtype"] = chance.choice(("F32", "F16", "I64", "F4", "", "F8_E4M3"))
        case 3:
            del header[name]
        case 4:
            header[name + "\x00"] = entry
        case _:
            header[name] = chance.choice(([], None, {}, "F32", [[[]]]))
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]
