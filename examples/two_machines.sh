#!/bin/sh
# Train on two emulated machines: network namespaces joined by a link of 1 Gbit/s and 1 ms. Kill one
# during the training, then resume from the last checkpoint. It needs root, and Linux's ip and tc:
#
#     sudo PYTHON=.venv/bin/python sh examples/two_machines.sh
#
# It ends with 77 and a reason where the kernel forbids such machines. docs/scale.md explains it.
set -eu
cannot() { echo "Two machines cannot be emulated here: $1"; exit 77; }
[ "$(id -u)" = 0 ] || cannot "it needs root"
PYTHON=$(realpath -s "${PYTHON:-python3}")
PATH=$(dirname "$PYTHON"):$PATH
A=plainnet-$$-a B=plainnet-$$-b
folder=$(mktemp -d)
cleanup() {
    for machine in $A $B; do ip netns del $machine 2>/dev/null || true; done
    rm -rf "$folder"
}
trap cleanup EXIT

command -v mpiexec >/dev/null || cannot "mpiexec is not installed"
ip netns add $A 2>/dev/null && ip netns add $B 2>/dev/null || cannot "no network namespaces"
ip link add name net0 netns $A type veth peer name net0 netns $B || cannot "no veth"
ip -n $A address add 10.77.0.1/24 dev net0
ip -n $B address add 10.77.0.2/24 dev net0
for machine in $A $B; do
    ip -n $machine link set lo up
    ip -n $machine link set net0 up
    if tc -n $machine qdisc add dev net0 root netem rate 1gbit delay 500us limit 10000 2>/dev/null
    then link="1 Gbit/s and 1 ms there and back"
    elif tc -n $machine qdisc add dev net0 root tbf rate 1gbit burst 256kb latency 50ms 2>/dev/null
    then link="1 Gbit/s; this kernel has no netem to add 1 ms"
    else cannot "tc limits no rate"
    fi
done
echo "Link: $link"
sleep 2  # until the link is up

# mpiexec reaches another machine with this in place of ssh: [-x] HOST COMMAND...
cat > "$folder/in_machine" <<END
#!/bin/sh
[ "\$1" = -x ] && shift
shift
exec ip netns exec $B sh -c "\$*"
END
chmod +x "$folder/in_machine"
# Both machines share this one's memory: send over the link all the same.
export UCX_TLS=tcp,self UCX_NET_DEVICES=net0 MPIR_CVAR_NOLOCAL=1
train() {
    ip netns exec $A mpiexec -launcher ssh -launcher-exec "$folder/in_machine" \
        -localhost 10.77.0.1 -hosts 10.77.0.1,10.77.0.2 -n 2 "$PYTHON" -m plainnet train "$@"
}

cd "$folder"
"$PYTHON" -c "from plainnet.data.synthetic import introverts
introverts(2000, seed=1).to_csv('survey.csv', index=False)"
train survey.csv --hidden 32 --epochs 12 --batch-size 256 --checkpoint-every 1 > train.txt 2>&1 &
training=$!
until ls survey.run 2>/dev/null | grep -q "checkpoint-0*[1-9][0-9]\."; do  # after a few epochs
    kill -0 $training 2>/dev/null || { cat train.txt; exit 1; }
    sleep 0.01
done
echo "Killing machine B"
kill -9 $(ip netns pids $B)
start=$(date +%s)
if wait $training; then cat train.txt; exit 1; fi
echo "Machine A ended $(($(date +%s) - start)) s later"
grep "^To resume" train.txt
train --resume survey.run
