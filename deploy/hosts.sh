#!/usr/bin/env bash
# A Ray cluster of several hosts that this one reaches by ssh; the first is its head.
#
#   deploy/hosts.sh start HEAD HOST...    then, on HEAD: contragrad evolve --executor ray --address auto
#   deploy/hosts.sh stop HEAD HOST...
#
# ENVIRONMENT is the virtual environment with contragrad[ray], at the same path on every host.
set -euo pipefail

ENVIRONMENT=${ENVIRONMENT:-$HOME/contragrad}
PORT=${PORT:-6379}

if [ $# -lt 2 ] || { [ "$1" != start ] && [ "$1" != stop ]; }; then
  echo "usage: deploy/hosts.sh start|stop HEAD HOST..." >&2
  exit 2
fi
action=$1 head=$2
shift 2

on() {
  local host=$1
  shift
  ssh "$host" RAY_USAGE_STATS_ENABLED=0 "$ENVIRONMENT/bin/ray" "$@"
}

if [ "$action" = stop ]; then
  for host in "$@" "$head"; do on "$host" stop; done
  exit
fi

# The dashboard can start programs, and is left out.
on "$head" start --head --port="$PORT" --include-dashboard=false
for host in "$@"; do on "$host" start --address="$head:$PORT"; done
echo "on $head: contragrad evolve --executor ray --address auto"
