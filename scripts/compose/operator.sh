#!/bin/sh
# What an operator does before a workload can draw a key: registers the deployment and its policy, pins the AK of the
# machine's TPM, and has the broker make a key. May run again: what exists already stays as it is.
# Needs PORTCULLIS_URL, PORTCULLIS_TOKEN_FILE and TPM (swtpm:host=H,port=P or device:PATH).
set -eu
umask 077
here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Runs a command, and takes "exists already" for done.
unless_exists() {
  if "$@" 2>"$work/error"; then return; fi
  if grep -q '^portcullis: resource.exists:' "$work/error"; then
    echo 'exists already'
  else
    cat "$work/error" >&2
    exit 1
  fi
}

echo '== the deployment, and the policy that it accepts'
portcullis deployment apply "$here/hello.yaml"

echo '== the attestation key of the TPM, pinned for it'
portcullis workload ak --tpm "$TPM" --out "$work/ak.pub"
unless_exists portcullis attester trust "$work/ak.pub" --deployment hello

echo '== a key that nobody has seen'
unless_exists portcullis key create hello --type oct --deployment hello
