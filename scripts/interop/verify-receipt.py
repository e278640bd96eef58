#!/usr/bin/env python3
"""Verifies the receipt of a release with the Python standard library and openssl alone: without any code of Portcullis.

  verify-receipt.py ANSWER LOG_KEY [JWE]

ANSWER is the answer to a release, or the receipt in it (JSON); LOG_KEY a file with the log key (a vkey), JWE one with the
wrapped key, where it is not in ANSWER. Prints the log entry as JSON and ends with 0 when everything holds; otherwise one
line on stderr that says what does not, and 1. Written from RFC 6962 section 2.1, RFC 8785, C2SP signed-note and
tlog-checkpoint, and docs/LOG.md.
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

# SubjectPublicKeyInfo of an Ed25519 key, up to the key (RFC 8410).
SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")


class Refused(Exception):
    pass


def demand(holds, what):
    if not holds:
        raise Refused(what)


def sha256(data):
    return hashlib.sha256(data).digest()


def no_duplicates(pairs):
    demand(len({name for name, _ in pairs}) == len(pairs), "a JSON object has a member twice")
    return dict(pairs)


def from_json(data):
    return json.loads(data, object_pairs_hook=no_duplicates)


def b64url(text):
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    demand(base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text, "base64url that is not canonical")
    return data


def b64(text):
    data = base64.b64decode(text, validate=True)
    demand(base64.b64encode(data).decode() == text, "base64 that is not canonical")
    return data


def log_key(vkey):
    """Name, key id and Ed25519 public key of a vkey."""
    name, key_id, encoded = vkey.strip().split("+", 2)
    material = b64(encoded)
    demand(material[0] == 1 and len(material) == 33, "the log key is no Ed25519 key")
    demand(sha256(name.encode() + b"\n" + material)[:4].hex() == key_id, "the log key has another id")
    return name, bytes.fromhex(key_id), material[1:]


def ed25519_verifies(public_key, message, signature):
    with tempfile.TemporaryDirectory() as work:
        files = {"key": SPKI_PREFIX + public_key, "message": message, "signature": signature}
        for name, content in files.items():
            Path(work, name).write_bytes(content)
        command = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in message -sigfile signature"
        return subprocess.run(command.split(), cwd=work, capture_output=True, check=False).returncode == 0


def tree_head(checkpoint, name, key_id, public_key):
    """Size and root of a checkpoint whose log signature verifies."""
    text, separator, lines = checkpoint.rpartition("\n\n")
    demand(separator and lines.endswith("\n"), "the checkpoint is no signed note")
    text += "\n"
    found = 0
    for line in lines[:-1].split("\n"):
        dash, signer, encoded = line.split(" ")
        signature = b64(encoded)
        demand(dash == "\u2014", "the checkpoint has a line that is no signature")
        if signer != name or signature[:4] != key_id:
            continue
        demand(ed25519_verifies(public_key, text.encode(), signature[4:]), "the signature of the log does not verify")
        found += 1
    demand(found > 0, "the log has not signed the checkpoint")
    origin, size, root = text.split("\n")[:3]
    demand(origin == name, "the checkpoint is of another log")
    demand(size == str(int(size)), "the checkpoint has no tree size")
    return int(size), b64(root)


def root_from(leaf, index, size, proof):
    """The root that the audit path leads to (RFC 6962, section 2.1.1, read backwards)."""
    if size == 1:
        demand(not proof, "the proof is too long")
        return leaf
    k = 1 << (size - 1).bit_length() - 1
    demand(proof, "the proof is too short")
    below, sibling = proof[:-1], proof[-1]
    if index < k:
        return sha256(b"\x01" + root_from(leaf, index, k, below) + sibling)
    return sha256(b"\x01" + sibling + root_from(leaf, index - k, size - k, below))


def verify(answer, vkey, jwe):
    receipt = answer.get("receipt", answer)
    jwe = answer.get("jwe") if jwe is None else jwe.rstrip("\n")
    name, key_id, public_key = log_key(vkey)
    size, root = tree_head(receipt["checkpoint"], name, key_id, public_key)
    index, proof = receipt["index"], [b64url(each) for each in receipt["proof"]]
    demand(type(index) is int and 0 <= index < size, "the index is not below the tree size")
    demand(all(len(each) == 32 for each in proof), "a hash of the proof has not 32 bytes")
    text = receipt["entry"].encode()
    demand(root_from(sha256(b"\x00" + text), index, size, proof) == root, "the proof does not lead to the root")

    entry = from_json(text)
    canonical = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    demand(canonical == text, "the entry is not canonical JSON")
    demand(entry["type"] == "release", "the entry is not one of a release")
    demand(name.startswith(entry["broker"] + "/"), "the log is one of another broker")
    if jwe is not None:
        demand(sha256(jwe.encode()).hex() == entry["jwe_sha256"], "the wrapped key is another one")
    return entry


def main(arguments):
    answer = from_json(Path(arguments[0]).read_bytes())
    vkey = Path(arguments[1]).read_text(encoding="utf-8")
    jwe = Path(arguments[2]).read_text(encoding="utf-8") if len(arguments) > 2 else None
    print(json.dumps(verify(answer, vkey, jwe), indent=2))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Refused, ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        sys.exit(f"refused: {error}")
