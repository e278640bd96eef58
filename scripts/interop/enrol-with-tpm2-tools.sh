#!/usr/bin/env bash
# Enrols the AK of a TPM at a broker by the TPM's endorsement key (EK), with tpm2-tools, curl and openssl alone, and then
# draws a key with it: the wire protocol, without any code of Portcullis. Prints each step.
#
#   enrol-with-tpm2-tools.sh URL DEPLOYMENT [KEY]
#
# The deployment trusts ek-certificate, has the CA of the TPM's maker in attesters.roots, and lets the TPM in: by its EK hash
# (printed below) in attesters.allow.ek, or once an administrator trusts the AK (its hash is printed, too). For KEY the machine
# must have measured the deployment's policy: tpm2_pcrextend 8:sha256=$(sha256sum <policy.json | cut -d' ' -f1)
#
#   TPM2TOOLS_TCTI   the TPM: device:/dev/tpmrm0, or swtpm:host=127.0.0.1,port=2321
#   EK_ALG           rsa2048 (default), ecc256, ecc384 or rsa3072
#   EK_CERTIFICATE   file with the EK's certificate in DER, where the TPM keeps none
#   EK_CHAIN         file with the certificates between it and the root, PEM, where the deployment has the root alone
#   AK_HANDLE        where the AK is kept; default 0x81010002, as `portcullis workload` has it. Made where there is none
#   LOG_KEY          file with the log key: the receipt is then verified
#
# Exit code 1 where the broker refuses, or while an administrator has yet to decide: then run it again afterwards.
set -euo pipefail
url=${1:?URL of the broker} deployment=${2:?name of the deployment} key=${3-}
: "${TPM2TOOLS_TCTI:?the TPM: device:/dev/tpmrm0, or swtpm:host=127.0.0.1,port=2321}"
ek_alg=${EK_ALG:-rsa2048} handle=${AK_HANDLE:-0x81010002}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
step() { printf '\n== %s\n' "$*"; }
fact() { printf '   %-18s %s\n' "$1" "$2"; }
b64() { basenc --base64url -w0 | tr -d =; }
unb64() { local text; text=$(cat); while [ $((${#text} % 4)) -ne 0 ]; do text="$text="; done; basenc -d --base64url <<<"$text"; }
member() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
post() { curl -sS -H 'content-type: application/json' --data-binary @- "$url$1"; }
sha256() { openssl dgst -sha256 -r | cut -d' ' -f1; }
flush() { tpm2_flushcontext -t 2>/dev/null || true; } # a TPM without resource manager has room for three objects
refused() { printf '\nThe broker refuses:\n%s\n' "$1"; exit 1; }

step "1. The certificate that the maker of the TPM gave its EK ($ek_alg)"
case $ek_alg in
  rsa2048) index=0x01c00002 ;;
  ecc256) index=0x01c0000a ;;
  ecc384) index=0x01c00016 ;;
  rsa3072) index=0x01c0001c ;;
  *) echo "EK_ALG must be rsa2048, ecc256, ecc384 or rsa3072" >&2; exit 2 ;;
esac
if [ -n "${EK_CERTIFICATE-}" ]; then
  cp "$EK_CERTIFICATE" "$work/ek.der"
  fact 'read from' "$EK_CERTIFICATE"
else
  tpm2_nvread "$index" -o "$work/ek.nv" 2>"$work/said" || {
    cat "$work/said" >&2
    echo "Is that the TPM ($TPM2TOOLS_TCTI)? If it keeps no certificate at $index, get it from its maker and name it in EK_CERTIFICATE." >&2
    exit 1
  }
  openssl x509 -inform DER -in "$work/ek.nv" -outform DER -out "$work/ek.der" # the index may be larger than the certificate
  fact 'read from' "NV index $index"
fi
openssl x509 -inform DER -in "$work/ek.der" -noout -pubkey >"$work/ek.pem"
fact issuer "$(openssl x509 -inform DER -in "$work/ek.der" -noout -issuer | sed 's/^issuer= *//')"
fact 'EK hash' "$(openssl pkey -pubin -in "$work/ek.pem" -outform DER | sha256)"
certificates="\"$(b64 <"$work/ek.der")\""
if [ -n "${EK_CHAIN-}" ]; then
  while read -r certificate; do certificates="$certificates,\"$certificate\""; done < <(
    awk '/-----BEGIN CERTIFICATE-----/{body="";inside=1;next} /-----END CERTIFICATE-----/{print body;inside=0} inside{body=body $0}' "$EK_CHAIN" | tr '+/' '-_' | tr -d '= \r')
fi

step '2. The EK itself: the TPM makes it again, the same each time'
tpm2_createek -G "$ek_alg" -c "$work/ek.ctx" -u "$work/ek.pub" >/dev/null
flush
fact TPM2B_PUBLIC "$(wc -c <"$work/ek.pub") bytes"

step "3. The attestation key (AK), kept at $handle"
persistent=$(tpm2_getcap handles-persistent)
if grep -qi -- "- $handle" <<<"$persistent"; then
  fact AK 'was there already'
else
  tpm2_createak -C "$work/ek.ctx" -c "$work/ak.ctx" -G rsa2048 -g sha256 -s rsassa >/dev/null
  flush
  tpm2_evictcontrol -C o -c "$work/ak.ctx" "$handle" >/dev/null
  flush
  fact AK 'was made just now'
fi
tpm2_readpublic -c "$handle" -o "$work/ak.pub" -n "$work/ak.name" >"$work/ak.yaml"
tpm2_readpublic -c "$handle" -f der -o "$work/ak.der" >/dev/null
scheme=$(awk '/^scheme:/{s=1} s&&/value:/{print $2;exit}' "$work/ak.yaml")
hash=$(awk '/^scheme-halg:/{s=1} s&&/value:/{print $2;exit}' "$work/ak.yaml")
fact 'AK Name' "$(basenc --base16 -w0 <"$work/ak.name" | tr A-F a-f)"
fact 'AK hash' "$(sha256 <"$work/ak.der")"
fact 'signs with' "$scheme, $hash"

step '4. The broker makes a credential for this EK and the Name of this AK'
answer=$(printf '{"deployment":"%s","ek_certificates":[%s],"ek":"%s","ak":"%s"}' \
  "$deployment" "$certificates" "$(b64 <"$work/ek.pub")" "$(b64 <"$work/ak.pub")" | post /v1/attesters/enrolments)
enrolment=$(member enrolment <<<"$answer")
[ -n "$enrolment" ] || refused "$answer"
fact 'good until' "$(member expires_at <<<"$answer")"
# What tpm2_makecredential would have written: a head, TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET.
{
  printf '\xba\xdc\xc0\xde\x00\x00\x00\x01'
  member credential_blob <<<"$answer" | unb64
  member encrypted_secret <<<"$answer" | unb64
} >"$work/credential"

step '5. The TPM opens it, since it has both keys (TPM2_ActivateCredential)'
case $ek_alg in
  rsa2048 | ecc256) # EKs of the low range are used by their policy: PolicySecret of the endorsement hierarchy
    tpm2_startauthsession --policy-session -S "$work/session.ctx"
    tpm2_policysecret -S "$work/session.ctx" -c e >/dev/null
    tpm2_activatecredential -c "$handle" -C "$work/ek.ctx" -i "$work/credential" -o "$work/secret" -P "session:$work/session.ctx" >/dev/null
    tpm2_flushcontext "$work/session.ctx"
    ;;
  *) # EKs of the high range by their authValue, which is empty
    tpm2_activatecredential -c "$handle" -C "$work/ek.ctx" -i "$work/credential" -o "$work/secret" >/dev/null
    ;;
esac
flush
fact opened "$(wc -c <"$work/secret") bytes"

step '6. The broker gets what was in it, and knows now that AK and EK live in one TPM'
answer=$(printf '{"enrolment":"%s","secret":"%s"}' "$enrolment" "$(b64 <"$work/secret")" | post /v1/attesters/enrolments/activations)
state=$(member state <<<"$answer")
[ -n "$state" ] || refused "$answer"
printf '%s\n' "$answer"
if [ "$state" != trusted ]; then
  printf '\nThe TPM is genuine, but nothing in attesters.allow lets it in yet. An administrator can:\n'
  printf '   portcullis attester trust %s --deployment %s\n' "$(member ak_spki_sha256 <<<"$answer")" "$deployment"
  exit 1
fi
[ -n "$key" ] || exit 0

step "7. The AK quotes, and the key $key comes out"
"$(dirname "$0")/draw-with-curl.sh" "$url" "$deployment" "$key" "$handle" "$work/ak.pub" "$scheme" "$hash"
