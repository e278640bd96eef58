#!/bin/sh
# What docker-compose.yml does, without containers: a broker, a swtpm, the operator's steps and the workload's, in a directory
# that is gone at the end. Needs `npm run build`, and the Debian packages swtpm and tpm2-tools.
set -eu
umask 077
here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
program=${PROGRAM:-$here/../../dist/main.js}
work=$(mktemp -d)
broker=
tpm=
stop() {
  for pid in $broker $tpm; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 1' INT TERM

mkdir "$work/bin" "$work/state"
printf '#!/bin/sh\nexec node "%s" "$@"\n' "$program" >"$work/bin/portcullis"
chmod 700 "$work/bin/portcullis"
PATH=$work/bin:$PATH

# Two neighbouring free ports for the TPM, one for the broker.
set -- $(node -e '
  const { createServer } = require("node:net");
  const free = (port) => new Promise((resolve) => {
    const server = createServer().once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => { const { port } = server.address(); server.close(() => resolve(port)); });
  });
  (async () => {
    for (;;) {
      const first = await free(0);
      if (first < 65535 && (await free(first + 1)) !== undefined) return console.log(first, await free(0));
    }
  })();')

swtpm socket --tpm2 --tpmstate "dir=$work/state" --flags not-need-init,startup-clear \
  --server "type=tcp,port=$1" --ctrl "type=tcp,port=$(($1 + 1))" --pid "file=$work/state/swtpm.pid" &
tpm=$!
node "$program" serve --data-dir "$work/broker" --profile development --listen "127.0.0.1:$2" --workers 1 \
  >"$work/broker.log" 2>&1 &
broker=$!

PORTCULLIS_URL=http://127.0.0.1:$2
PORTCULLIS_TOKEN_FILE=$work/broker/admin.token
TPM=swtpm:host=127.0.0.1,port=$1
export PATH PORTCULLIS_URL PORTCULLIS_TOKEN_FILE TPM
tries=0
until [ -s "$work/state/swtpm.pid" ] && curl --silent --fail --output /dev/null "$PORTCULLIS_URL/readyz"; do
  tries=$((tries + 1))
  if [ "$tries" -gt 100 ]; then
    cat "$work/broker.log" >&2
    exit 1
  fi
  sleep 0.2
done

sh "$here/operator.sh"
sh "$here/workload.sh"
