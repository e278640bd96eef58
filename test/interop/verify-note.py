#!/usr/bin/env python3
"""Verifies a C2SP signed note with the Python standard library and the openssl command, and prints its text.

    verify-note.py NOTE VKEY

NOTE is a file, VKEY a verifier key of type 01 (Ed25519) or 04 (Ed25519 cosignature; the time is printed first).
Exit code 0: a signature of this key is there, and every one of them verifies; 1: not so.
"""
import base64
import hashlib
import subprocess
import sys
import tempfile


def fail(why):
    print(why, file=sys.stderr)
    sys.exit(1)


def openssl_verifies(public_key, message, signature):
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("key", bytes.fromhex("302a300506032b6570032100") + public_key), ("message", message), ("signature", signature)):
            with open(f"{folder}/{name}", "wb") as file:
                file.write(content)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", f"{folder}/key", "-rawin"]
        command += ["-in", f"{folder}/message", "-sigfile", f"{folder}/signature"]
        return subprocess.run(command, capture_output=True).returncode == 0


def main(note_file, vkey):
    name, key_id, encoded = vkey.split("+", 2)
    key = base64.b64decode(encoded, validate=True)
    if hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8] != key_id:
        fail("the key id is not that of the key")
    with open(note_file, "rb") as file:
        text, blank, lines = file.read().decode("utf-8").rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        fail("not a note")
    text += "\n"
    found = 0
    for line in lines[:-1].split("\n"):
        dash, signer, signature = line.split(" ")
        signature = base64.b64decode(signature, validate=True)
        if dash != "\u2014":
            fail("not a signature line")
        if signer != name or signature[:4].hex() != key_id:
            continue
        message, signature = text, signature[4:]
        if key[0] == 4:
            time = int.from_bytes(signature[:8], "big")
            message, signature = f"cosignature/v1\ntime {time}\n{text}", signature[8:]
            print(time)
        if key[0] not in (1, 4) or not openssl_verifies(key[1:], message.encode(), signature):
            fail("a signature of the key does not verify")
        found += 1
    if found == 0:
        fail("no signature of the key")
    sys.stdout.write(text)


main(*sys.argv[1:])
