#!/usr/bin/env bash
# The first process of a node. It makes the node's own view of the machine and then only waits: whatever else runs in the node is started
# into its namespaces from outside, and ends when this process does. NODE is the node's folder, NAME its name.
set -euo pipefail

hostname "$NAME"
mount --make-rshared /

mount --bind "$NODE/run" /run
mount --bind "$NODE/log" /var/log
mkdir -p /run/netns /run/lock

# Paths below these are written into the programs, and what they put there must not stay on the machine.
mount -t tmpfs tmpfs "$NODE/over"
for folder in etc opt usr/libexec var/lib; do
  mkdir -p "$NODE/over/$folder/upper" "$NODE/over/$folder/work"
  mount -t overlay -o "lowerdir=/$folder,upperdir=$NODE/over/$folder/upper,workdir=$NODE/over/$folder/work" overlay "/$folder"
done

# The kubelet wants these, and they are the whole machine's, one of them a reboot on every oops. It finds files of ours in their place, which say
# what it wants to hear.
pretend() {
  local file="$NODE/sysctl/${1//\//.}"
  echo "$2" >"$file"
  mount --bind "$file" "/proc/sys/$1"
}
pretend vm/overcommit_memory 1
pretend vm/panic_on_oom 0
pretend kernel/panic 10
pretend kernel/panic_on_oops 1
pretend kernel/keys/root_maxkeys 1000000
pretend kernel/keys/root_maxbytes 25000000

echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up
touch "$NODE/made"

# Bash reaps what it did not start itself, which a sleep as the first process would not.
while :; do
  sleep infinity &
  wait $!
done
