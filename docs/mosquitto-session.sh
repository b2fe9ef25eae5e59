#!/usr/bin/env bash
# From nothing to a driving session over Mosquitto with TLS and a certificate for everyone.
#
#   docs/mosquitto-session.sh [FOLDER] [SECONDS]
#
# Makes a site's keys, sets up both brokers with the shipped files, starts a simulated machine with
# its agent and a cockpit on this computer, and drives it by a scripted driver. FOLDER (a new one;
# keep its path short) holds everything afterwards. On a site the same steps are spread over three
# computers; docs/keys.md and docs/brokers.md say what goes where. Needs Debian's mosquitto.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH:/usr/sbin
folder=${1:-$(mktemp -d /tmp/hf-session.XXXXXX)}
seconds=${2:-20}
control_port=${CONTROL_PORT:-8883} telemetry_port=${TELEMETRY_PORT:-8884} page_port=${PAGE_PORT:-8700}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
machine=$PWD/configs/machines/ug_truck_60t.toml
site=$PWD/configs/sites/mine_drift.toml

children=()
end() {
    for ((i = ${#children[@]} - 1; i >= 0; i--)); do
        kill "${children[i]}" 2>/dev/null || true
    done
    wait
}
trap end EXIT

# start NAME WORD COMMAND...: run in the background until its log has WORD
start() {
    local name=$1 word=$2
    shift 2
    "$@" >"$folder/$name.log" 2>&1 </dev/null &
    children+=($!)
    for _ in {1..600}; do
        grep -q "$word" "$folder/$name.log" && { echo "session: $name runs"; return; }
        kill -0 "${children[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    echo "session: $name did not start: $(tail -n 1 "$folder/$name.log")" >&2
    exit 1
}

# 1. Keys: one authority, one machine, one driver, one broker.
headframe keys init --site mine --dir "$folder/keys"
headframe keys issue truck-1 --role vehicle --dir "$folder/keys"
headframe keys issue console-1 --role driver --dir "$folder/keys"
headframe keys issue control --role broker --host 127.0.0.1 --dir "$folder/keys"

# 2. Brokers: the shipped files, with this folder in the place of /etc/headframe/broker.
broker=$folder/broker
mkdir -p "$broker/telemetry.d"
cp "$folder"/keys/control/{ca.crt,tls.crt,tls.key} "$folder/keys/crl.pem" "$broker"
cp configs/brokers/mosquitto/*.acl "$broker"
for kind in control telemetry; do
    port=${kind}_port
    sed -e "s|/etc/headframe/broker|$broker|; s|^listener .*|listener ${!port} 127.0.0.1|" \
        "configs/brokers/mosquitto/$kind.conf" >"$broker/$kind.conf"
    # As root Mosquitto becomes another user, who may not read this folder.
    [ "$(id -u)" -ne 0 ] || echo "user root" >>"$broker/$kind.conf"
    start "$kind" running mosquitto -c "$broker/$kind.conf"
done

# 3. The machine's settings, and the cockpit's. Paths count from the file's folder.
cat >"$folder/agent.toml" <<END
[vehicle]
site = "mine"
name = "truck-1"
machine = "$machine"
simulated = true
[runtime]
dir = "agent"
record = "guardian.record"
[keys]
device = "keys/truck-1/device.jwk"
trust = "keys/trust.json"
[mqtt]
host = "127.0.0.1"
port = $control_port
ca = "keys/truck-1/ca.crt"
cert = "keys/truck-1/tls.crt"
key = "keys/truck-1/tls.key"
[telemetry]
host = "127.0.0.1"
port = $telemetry_port
ca = "keys/truck-1/ca.crt"
cert = "keys/truck-1/tls.crt"
key = "keys/truck-1/tls.key"
[can]
interface = "headframe_local"
channel = "$folder/can"
[relay]
port = "relay"
[[cameras]]
id = 0
name = "front"
source = "sim:$folder/camera0"
[media]
ice_addresses = ["127.0.0.1"]
[control_peer]
ice_addresses = ["127.0.0.1"]
END
cat >"$folder/console.toml" <<END
[console]
operator = "console-1"
site = "mine"
vehicle = "truck-1"
port = $page_port
token_file = "address"
simulated = true
[mqtt]
host = "127.0.0.1"
port = $control_port
ca = "keys/console-1/ca.crt"
cert = "keys/console-1/tls.crt"
key = "keys/console-1/tls.key"
[keys]
device = "keys/console-1/device.jwk"
trust = "keys/trust.json"
[control_peer]
ice_addresses = ["127.0.0.1"]
END
python - "$folder/guardian.record" <<'END'
import pathlib, sys
from vehicle_agent.core.record import FIRST
from vehicle_agent.shell.store import create_record
create_record(pathlib.Path(sys.argv[1]), FIRST)
END

# 4. The simulated machine, then the programs that a real one runs, then the cockpit.
for name in agent can truth wires camera0; do mkdir -m 0700 "$folder/$name"; done
world=(--site "$site" --machine "$machine" --truth "$folder/truth")
start machine '^ready' python -m sim.machine_process "${world[@]}" \
    --can "$folder/can" --wires "$folder/wires"
start relay '^ready' python -m sim.relay_process --link "$folder/relay" --wires "$folder/wires"
start camera '^ready' python -m sim.camera_process "${world[@]}" --buffer "$folder/camera0" \
    --width 1280 --height 720 --fps 30 --lamps
start agent '^ready' headframe agent --config "$folder/agent.toml"
start console '^ready' headframe console --config "$folder/console.toml"

# 5. Drive. A person opens the address in a browser instead.
python -m sim.driver --url "$(cat "$folder/address")" --site "$site" --machine "$machine" \
    --truth "$folder/truth" --mqtt-port 9 --site-id mine --vehicle truck-1 --seconds "$seconds"
