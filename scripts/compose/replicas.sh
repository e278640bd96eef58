#!/bin/sh
# What the profile "replicas" of docker-compose.yml does, without containers: PostgreSQL, two brokers on it, a proxy in front of
# them, the operator's steps and the workload's; then one broker is killed, and the database restarted, and the workload draws
# its key again each time. All of it lives in a directory that is gone at the end. Needs `npm run build`, and the Debian packages
# postgresql, swtpm and tpm2-tools; root runs PostgreSQL as the user postgres.
set -eu
umask 077
here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
program=${PROGRAM:-$here/../../dist/main.js}

# The newest PostgreSQL that Debian has installed, or the one on PATH.
pgbin=
for folder in /usr/lib/postgresql/*/bin; do
  if [ -x "$folder/initdb" ]; then pgbin=$folder; fi
done
if [ -z "$pgbin" ]; then
  if ! command -v initdb >/dev/null; then
    echo 'PostgreSQL is not installed: apt-get install postgresql' >&2
    exit 1
  fi
  pgbin=$(dirname "$(command -v initdb)")
fi

work=$(mktemp -d)
first=
second=
proxy=
tpm=
# PostgreSQL does not run as root.
if [ "$(id -u)" = 0 ]; then
  chmod 711 "$work"
  install -d -o postgres -m 700 "$work/postgres"
  as='runuser -u postgres --'
else
  mkdir "$work/postgres"
  as=
fi
database() { (cd "$work/postgres" && $as "$pgbin/pg_ctl" -D "$work/postgres/data" -w -s "$@"); }
stop() {
  for pid in $first $second $proxy $tpm; do kill "$pid" 2>/dev/null || true; done
  wait
  database -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 1' INT TERM

mkdir "$work/bin" "$work/state"
printf '#!/bin/sh\nexec node "%s" "$@"\n' "$program" >"$work/bin/portcullis"
chmod 700 "$work/bin/portcullis"
PATH=$work/bin:$PATH

# Two neighbouring free ports for the TPM, one for each of the others.
set -- $(node -e '
  const { createServer } = require("node:net");
  const free = (port) => new Promise((resolve) => {
    const server = createServer().once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => { const { port } = server.address(); server.close(() => resolve(port)); });
  });
  (async () => {
    for (;;) {
      const first = await free(0);
      if (first < 65535 && (await free(first + 1)) !== undefined)
        return console.log(first, await free(0), await free(0), await free(0), await free(0));
    }
  })();')
tpm_port=$1 pg_port=$2 first_port=$3 second_port=$4 proxy_port=$5

echo '== a database'
(cd "$work/postgres" && $as "$pgbin/initdb" -D "$work/postgres/data" -U portcullis -A trust -E UTF8 --locale=C >/dev/null)
database -l "$work/postgres/log" -o "-p $pg_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$work/postgres" start
(cd "$work/postgres" && $as "$pgbin/createdb" -h 127.0.0.1 -p "$pg_port" -U portcullis portcullis)
PORTCULLIS_STORE_URL=postgres://portcullis@127.0.0.1:$pg_port/portcullis
export PATH PORTCULLIS_STORE_URL

serve() { # DATA_DIR PORT
  node "$program" serve --data-dir "$1" --profile development --listen "127.0.0.1:$2" --workers 1 >>"$1.log" 2>&1 &
}
until_ready() { # URL LOG
  tries=0
  until curl --silent --fail --output /dev/null "$1/readyz"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 150 ]; then
      cat "$2" >&2
      exit 1
    fi
    sleep 0.2
  done
}

echo '== the first broker makes what both will be; the second one gets its KEK file'
serve "$work/first" "$first_port"
first=$!
until_ready "http://127.0.0.1:$first_port" "$work/first.log"
mkdir -m 700 "$work/second"
for file in kek.json simulator-ca.pem simulator-ca.key; do cp -p "$work/first/$file" "$work/second/$file"; done
serve "$work/second" "$second_port"
second=$!
until_ready "http://127.0.0.1:$second_port" "$work/second.log"

echo '== a proxy in front of them, and a TPM'
node "$here/proxy.js" "127.0.0.1:$proxy_port" "http://127.0.0.1:$first_port" "http://127.0.0.1:$second_port" >"$work/proxy.log" 2>&1 &
proxy=$!
swtpm socket --tpm2 --tpmstate "dir=$work/state" --flags not-need-init,startup-clear \
  --server "type=tcp,port=$tpm_port" --ctrl "type=tcp,port=$((tpm_port + 1))" --pid "file=$work/state/swtpm.pid" &
tpm=$!

PORTCULLIS_URL=http://127.0.0.1:$proxy_port
PORTCULLIS_TOKEN_FILE=$work/first/admin.token
TPM=swtpm:host=127.0.0.1,port=$tpm_port
export PORTCULLIS_URL PORTCULLIS_TOKEN_FILE TPM
until_ready "$PORTCULLIS_URL" "$work/proxy.log"

sh "$here/operator.sh"
draw() { # NAME: the key must be the same one each time
  OUT=$work/key.$1 sh "$here/workload.sh"
  if [ "$1" != 1 ]; then cmp "$work/key.1" "$work/key.$1"; fi
}
draw 1
draw 2

echo '== one broker is killed: the other one goes on'
kill -9 "$first"
wait "$first" 2>/dev/null || true
first=
sleep 1
draw 3

echo '== it comes back, and the database is restarted under both'
serve "$work/first" "$first_port"
first=$!
until_ready "http://127.0.0.1:$first_port" "$work/first.log"
database -m fast restart -l "$work/postgres/log" -o "-p $pg_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$work/postgres"
until_ready "http://127.0.0.1:$first_port" "$work/first.log"
until_ready "http://127.0.0.1:$second_port" "$work/second.log"
sleep 1
draw 4

echo '== the log of both is one, and whole'
for port in "$first_port" "$second_port"; do
  curl --silent --fail "http://127.0.0.1:$port/log/checkpoint" | head -n 3 >"$work/checkpoint.$port"
done
cmp "$work/checkpoint.$first_port" "$work/checkpoint.$second_port"
portcullis doctor --data-dir "$work/second" --offline
releases=$(portcullis entries --type release --json | node -e 'console.log(JSON.parse(require("node:fs").readFileSync(0)).items.length)')
if [ "$releases" != 4 ]; then
  echo "4 releases were answered, and $releases are in the log" >&2
  exit 1
fi
echo '== 4 releases, each recorded once'
