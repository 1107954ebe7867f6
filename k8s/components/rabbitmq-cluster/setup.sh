#!/bin/bash
# Prepares a member before its server starts: configuration, cookie, and the list of members.
set -eu

cp /config/rabbitmq.conf /config/advanced.config /config/enabled_plugins /etc/rabbitmq/
mkdir -p /etc/rabbitmq/conf.d
cp /user/default_user.conf /etc/rabbitmq/conf.d/20-default_user.conf

# Erlang takes a cookie that its owner alone may read; a mounted Secret is never that.
umask 077
rm -f "$HOME/.erlang.cookie"
cp /cookie/.erlang.cookie "$HOME/.erlang.cookie"
umask 022

ordinal=${POD_NAME##*-}
peers=()
for ((n = 0; n < MEMBERS; n++)); do
  host=${POD_NAME%-*}-$n.$SERVICE.$POD_NAMESPACE
  echo "cluster_formation.classic_config.nodes.$n = rabbit@$host"
  [ "$n" = "$ordinal" ] || peers+=("$host")
done >/etc/rabbitmq/conf.d/30-members.conf

# The members start together and must not found three clusters. The first founds it, or finds one to
# join; any other that has no data yet waits until it has somebody to join.
[ "$ordinal" != 0 ] || exit 0
[ ! -d "$RABBITMQ_MNESIA_BASE/$RABBITMQ_NODENAME" ] || exit 0
until
  for host in "${peers[@]}"; do
    if timeout 2 bash -c "</dev/tcp/$host/5672" 2>/dev/null; then
      echo "joins $host"
      exit 0
    fi
  done
  false
do
  echo "waits for one of ${peers[*]}"
  sleep 2
done
