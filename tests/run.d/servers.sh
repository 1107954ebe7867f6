# Starts the private servers and stops everything at the end. Sourced by tests/run.
# shellcheck shell=bash disable=SC2154

# Everything slow that needs no compiler; runs beside the build. What the parts need
# to know goes into the file `environment`.
prepare() {
  exec >"$scratch/log/preparation.log" 2>&1
  local environment=$scratch/environment
  if needing rabbitmq && [ -z "${CELERIAC_TEST_AMQP_URL:-}" ]; then
    tests/run.d/rabbitmq create
    cat "$scratch/rabbitmq/urls" >>"$environment"
    echo "export CELERIAC_TEST_RABBITMQ_CTL='$root/tests/run.d/rabbitmq'" >>"$environment"
  fi
  if needing redis && [ -z "${CELERIAC_TEST_REDIS_URL:-}" ]; then
    start_redis
    echo "export CELERIAC_TEST_REDIS_URL=redis://127.0.0.1:$redis_port/0" >>"$environment"
  fi
  if needing postgres && [ -z "${CELERIAC_TEST_POSTGRES_URL:-}" ]; then
    start_postgres
    echo "export CELERIAC_TEST_POSTGRES_URL=postgres://celeriac@127.0.0.1:$postgres_port/postgres" \
      >>"$environment"
  fi
  if needing python; then
    prepare_python
    echo "export CELERIAC_TEST_PYTHON='$root/$venv/bin/python'" >>"$environment"
  fi
  if needing suite; then
    prepare_suite
    echo "export CELERIAC_TEST_SUITE='$suite'" >>"$environment"
  fi
  if needing k8s; then
    prepare_k8s
    echo "export CELERIAC_TEST_K8S_TOOLS='$k8s_tools'" >>"$environment"
  fi
  echo "export CELERIAC_TEST_BIN_DIR='$target_dir/debug'" >>"$environment"
}

# Waits for `prepare` once and takes over what it found.
await_preparation() {
  [ -n "${preparation:-}" ] || return 0
  if ! wait "$preparation"; then
    echo "./tests/run: the servers or the Python environment did not come up:" >&2
    tail -n 30 "$scratch/log/preparation.log" >&2
    return 1
  fi
  preparation=
  # shellcheck disable=SC1091
  . "$scratch/environment"
}

start_redis() {
  local tries
  for tries in 1 2 3 4 5; do
    # Below the range from which the kernel takes ports for outgoing connections.
    redis_port=$((12000 + RANDOM % 8000))
    # A process title of its own would overwrite the environment by which
    # `stop_everything` finds the server.
    setsid redis-server --bind 127.0.0.1 --port "$redis_port" --unixsocket '' \
      --save '' --appendonly no --dir "$scratch" --set-proc-title no \
      --logfile "$scratch/log/redis.log" </dev/null &
    redis_pid=$!
    for _ in $(seq 100); do
      kill -0 "$redis_pid" 2>/dev/null || continue 2
      if redis-cli -h 127.0.0.1 -p "$redis_port" ping >/dev/null 2>&1 &&
        # Somebody else's server may answer while ours is about to fail.
        redis-cli -h 127.0.0.1 -p "$redis_port" info server | grep -q "process_id:$redis_pid"; then
        return 0
      fi
      sleep 0.1
    done
    kill -KILL "$redis_pid" 2>/dev/null || true
  done
  echo "redis-server: expected it to answer within 10 s, found nothing on port $redis_port (try $tries)"
  return 1
}

start_postgres() {
  local bin home=$scratch/postgres tries as_user=()
  bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort --version-sort | tail -n 1)
  mkdir "$home"
  if [ "$(id -u)" = 0 ]; then
    # The server refuses to run as root; its package made this user.
    as_user=(setpriv --reuid postgres --regid postgres --clear-groups)
    chown postgres: "$home"
    chmod o+x "$scratch"
  fi
  # Its data is thrown away, so nothing waits for the disk.
  (cd "$home" && "${as_user[@]}" "$bin/initdb" --pgdata "$home/data" --username celeriac \
    --auth trust --encoding UTF8 --locale C --no-sync >>"$scratch/log/postgres.log" 2>&1)
  for tries in 1 2 3 4 5; do
    postgres_port=$((12000 + RANDOM % 8000))
    (cd "$home" && exec setsid "${as_user[@]}" "$bin/postgres" -D "$home/data" -p "$postgres_port" \
      -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
      -c max_connections=300) </dev/null >>"$scratch/log/postgres.log" 2>&1 &
    postgres_pid=$!
    for _ in $(seq 100); do
      kill -0 "$postgres_pid" 2>/dev/null || continue 2
      # Its own file says so: somebody else's server may answer on the port.
      if [ "$(sed -n 8p "$home/data/postmaster.pid" 2>/dev/null | tr -d ' ')" = ready ]; then
        return 0
      fi
      sleep 0.1
    done
    kill -KILL "$postgres_pid" 2>/dev/null || true
  done
  echo "postgres: expected it to be ready within 10 s, found nothing on port $postgres_port (try $tries)"
  return 1
}

# Prints the ids of the processes that this run started and that still live.
started_processes() (
  # What looks for the name must not carry it.
  unset CELERIAC_TEST_DIR
  grep -lszF "CELERIAC_TEST_DIR=$scratch" /proc/[0-9]*/environ | cut -d / -f 3
)

stop_everything() {
  local pids round
  # Their data is thrown away, so two seconds of courtesy are enough.
  for round in $(seq 100); do
    pids=$(started_processes || true)
    [ -n "$pids" ] || return 0
    # shellcheck disable=SC2086 # a list of numbers
    case $round in
      1) kill -TERM $pids 2>/dev/null || true ;;
      [2-9] | 1?) ;;
      *) kill -KILL $pids 2>/dev/null || true ;;
    esac
    sleep 0.1
  done
  echo "./tests/run: expected every process to end after SIGKILL, found alive:" "$pids" >&2
  return 1
}

# The end of every run, whatever ended it.
finish() {
  local status=$? kept log part
  trap '' INT TERM HUP
  unguard_services
  stop_everything || status=1
  wait || true
  [ "$outcome" = passed ] || [ "$status" -ne 0 ] || status=1
  # An interrupted run has nothing to explain.
  if [ "$status" -ne 0 ] && [ "$status" -lt 128 ] && [ -d "$scratch/log" ]; then
    kept=$target_dir/tests-log
    rm -rf "$kept"
    cp -r "$scratch/log" "$kept"
    for log in rabbitmq redis; do
      if [ -s "$kept/$log.log" ]; then
        title "the end of $kept/$log.log"
        tail -n 20 "$kept/$log.log"
      fi
    done
  fi
  # Whoever has only the end of a long log finds the reason there.
  for part in ${failures:-}; do
    if [ -s "$scratch/log/part-$part.log" ]; then
      title "what failed in $part (all of it is in $target_dir/tests-log)"
      tail -n 60 "$scratch/log/part-$part.log"
    fi
  done
  rm -rf "$scratch"
  if [ "${#account[@]}" -gt 0 ]; then
    title durations
    printf '%s\n' "${account[@]}"
  fi
  if [ "$status" -eq 0 ]; then
    echo "./tests/run: $passed part$([ "$passed" = 1 ] || echo s) passed"
  else
    echo "./tests/run: ${passed:-0} passed, ${failed:-0} failed, status $status"
  fi
  exit "$status"
}
