#!/bin/sh
# What runs beside a workload: measures the policy that it enforces into PCR 8, once since the TPM was reset, then proves it
# and draws the key. Needs PORTCULLIS_URL and TPM (swtpm:host=H,port=P or device:PATH), and no token. OUT is the file for the
# key; without it the key is thrown away at the end.
set -eu
umask 077
here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TPM2TOOLS_TCTI="$TPM"

# member NAME...: one member of the JSON on stdin.
member() {
  node -e 'let value = JSON.parse(require("node:fs").readFileSync(0)); for (const name of process.argv.slice(1)) value = value[name]; console.log(value)' "$@"
}

portcullis policy hash "$here/hello.policy.json" --json >"$work/policy"
policy=$(member sha256 <"$work/policy")
expected=$(member pcr sha256 <"$work/policy")
tpm2_pcrread sha256:8 -o "$work/pcr" >/dev/null
found=$(od -A n -v -t x1 "$work/pcr" | tr -d ' \n')

case $found in
  "$expected") echo "== policy $policy was measured into PCR 8 before" ;;
  *[!0]*)
    echo "PCR 8 holds $found: something else was measured into it; reset the TPM" >&2
    exit 1
    ;;
  *)
    echo "== measuring policy $policy into PCR 8"
    tpm2_pcrextend "8:sha256=$policy"
    ;;
esac

echo '== challenge, quote, release'
portcullis workload release --deployment hello --key hello --tpm "$TPM" --out "${OUT:-$work/key.json}"
