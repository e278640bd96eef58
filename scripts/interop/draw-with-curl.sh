#!/usr/bin/env bash
# Draws a key from a broker with curl, tpm2-tools and openssl alone: the wire protocol, without any code of Portcullis.
#
#   draw-with-curl.sh URL DEPLOYMENT KEY AK_CONTEXT AK_PUBLIC SCHEME HASH [SELECTION]
#
# AK_CONTEXT and AK_PUBLIC are what tpm2_createak wrote (-c, -u); SCHEME is rsassa, rsapss or ecdsa, HASH the hash of the
# scheme. SELECTION, as in `tpm2_quote -l`, must cover the PCRs of the challenge; default: exactly those. The TPM is the
# one that TPM2TOOLS_TCTI names; the policy has been measured already. With LOG_KEY, a file with the log key, the receipt is
# verified before anything is decrypted. Prints the answer of the broker and, as the last line, the released key as a JWK.
# Exit code 1, with the answer on stdout, when the broker refuses or the receipt does not verify.
set -euo pipefail
url=$1 deployment=$2 key=$3 ak_context=$4 ak_public=$5 scheme=$6 hash=$7 selection=${8-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
b64() { basenc --base64url -w0 | tr -d =; }
member() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
post() { curl -sS -H 'content-type: application/json' --data-binary @- "$url$1"; }

# An ephemeral RSA key pair, and its RFC 7638 thumbprint.
openssl genrsa -out "$work/recipient.pem" 2048 2>/dev/null
n=$(openssl rsa -in "$work/recipient.pem" -noout -modulus 2>/dev/null | cut -d= -f2 | basenc -d --base16 | b64)
thumbprint=$(printf '{"e":"AQAB","kty":"RSA","n":"%s"}' "$n" | openssl dgst -sha256 -binary | b64)

# The challenge, and the binding: SHA-256 over the canonical JSON of what is asked.
challenge=$(printf '{"deployment":"%s","key":"%s"}' "$deployment" "$key" | post /v1/challenges)
nonce=$(member nonce <<<"$challenge")
broker=$(member broker <<<"$challenge")
[ -n "$nonce" ] || { printf '%s\n' "$challenge"; exit 1; }
binding=$(printf '{"broker":"%s","deployment":"%s","key":"%s","nonce":"%s","purpose":"portcullis/release/v1","recipient":"%s","version":"latest"}' \
  "$broker" "$deployment" "$key" "$nonce" "$thumbprint" | openssl dgst -sha256 -r | cut -d' ' -f1)
if [ -z "$selection" ]; then
  selection=$(sed -n 's/.*"pcrs":{\([^}]*\)}.*/\1/p' <<<"$challenge" | tr -d '"[]' | sed 's/,\(sha[0-9]*:\)/+\1/g')
fi

# The quote, and the values of exactly the PCRs that it selects.
tpm2_quote -c "$ak_context" -l "$selection" -q "$binding" -m "$work/quoted" -s "$work/signature" -o "$work/values" -F values \
  -g "$hash" --scheme "$scheme" >"$work/quote.yaml"
tpm2_flushcontext -t 2>/dev/null || true
pcrs=$(awk '/^pcrs:/{p=1;next} /^[a-z]/{p=0} p' "$work/quote.yaml" | awk '
  /^ *sha[0-9]+:/ { sub(/:.*/, ""); gsub(/ /, ""); printf "%s\"%s\":{", (bank ? "}," : ""), $0; bank = 1; first = 1; next }
  /^ *[0-9]+ *:/ { i = $0; sub(/:.*/, "", i); gsub(/ /, "", i); v = $0; sub(/.*0x/, "", v)
                   printf "%s\"%s\":\"%s\"", (first ? "" : ","), i, tolower(v); first = 0 }
  END { if (bank) printf "}" }')

answer=$(printf '{"nonce":"%s","deployment":"%s","key":"%s","recipient":{"kty":"RSA","n":"%s","e":"AQAB","alg":"RSA-OAEP-256"},"evidence":{"tpm":{"quoted":"%s","signature":"%s","ak":"%s","pcrs":{%s}}}}' \
  "$nonce" "$deployment" "$key" "$n" "$(b64 <"$work/quoted")" "$(b64 <"$work/signature")" "$(b64 <"$ak_public")" "$pcrs" | post /v1/releases)
printf '%s\n' "$answer"
jwe=$(member jwe <<<"$answer")
[ -n "$jwe" ] || exit 1
if [ -n "${LOG_KEY-}" ]; then python3 "$(dirname "$0")/verify-receipt.py" /dev/stdin "$LOG_KEY" <<<"$answer" >/dev/null; fi

# The key: openssl unwraps the content key, and node, for want of AES-GCM in the openssl command, opens the content.
decode() { local text=$1; while [ $((${#text} % 4)) -ne 0 ]; do text="$text="; done; basenc -d --base64url <<<"$text"; }
IFS=. read -r header wrapped iv body tag <<<"$jwe"
decode "$wrapped" | openssl pkeyutl -decrypt -inkey "$work/recipient.pem" -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 >"$work/cek"
CEK=$work/cek node -e '
  const { createDecipheriv } = require("node:crypto");
  const [header, iv, body, tag] = process.argv.slice(1);
  const bytes = (text) => Buffer.from(text, "base64url");
  const open = createDecipheriv("aes-256-gcm", require("node:fs").readFileSync(process.env.CEK), bytes(iv));
  open.setAAD(Buffer.from(header, "ascii")).setAuthTag(bytes(tag));
  console.log(Buffer.concat([open.update(bytes(body)), open.final()]).toString("utf8"));
' "$header" "$iv" "$body" "$tag"
