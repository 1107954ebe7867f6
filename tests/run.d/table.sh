# Reads the table of parts, runs one, and keeps the account. Sourced by tests/run.
# shellcheck shell=bash disable=SC2034,SC2154 # variables shared with tests/run

# part_field NAME FIELD: one field of a part's line, or nothing for an unknown part.
part_field() {
  local name when needs command about
  while IFS='|' read -r name when needs command about; do
    name=$(trim "$name")
    [ "$name" = "$1" ] || continue
    trim "${!2}"
    return
  done <<<"$parts"
}

trim() {
  local text=$1
  text=${text#"${text%%[![:space:]]*}"}
  printf '%s' "${text%"${text##*[![:space:]]}"}"
}

parts_of_the_whole_run() {
  local name when _rest
  while IFS='|' read -r name when _rest; do
    if [ "$(trim "$when")" = always ]; then trim "$name"; echo; fi
  done <<<"$parts"
}

print_help() {
  local name when _needs _command about
  cat <<'HELP'
Runs the tests of celeriac.

  ./tests/run                     every part but those that run only when named
  ./tests/run NAME [ARGUMENT...]  one part

Parts:
HELP
  while IFS='|' read -r name when _needs _command about; do
    name=$(trim "$name")
    [ -n "$name" ] || continue
    about=$(trim "$about")
    [ "$(trim "$when")" = always ] || about="$about (only when named)"
    printf '  %-12s %s\n' "$name" "$about"
  done <<<"$parts"
  cat <<'HELP'

What is missing is installed with apt-get when that is allowed (root, or sudo
without a password). RabbitMQ, Redis and PostgreSQL are started on free loopback
ports with data of their own in a temporary directory, and stopped at the end. To
use other servers set CELERIAC_TEST_AMQP_URL, CELERIAC_TEST_REDIS_URL and
CELERIAC_TEST_POSTGRES_URL.
Status: 0 all passed, 1 something failed, 64 the command line is wrong, or something
has to be installed first.
HELP
}

title() { printf '\n== %s\n' "$1"; }

account=()
record() { account+=("$(printf '%-12s %5d s  %s' "$1" "$2" "$3")"); }

# run_part NAME [ARGUMENT...]: the part's command with the arguments.
run_part() {
  local name=$1 command
  shift
  command=$(part_field "$name" command)
  case " $(part_field "$name" needs) " in
    # A shell in the background may not read from the terminal.
    *" terminal "*) run_command "$command" "$@" ;;
    *) in_job run_command "$command" "$@" ;;
  esac
}

run_command() {
  local command=$1
  shift
  eval "$command"
}

# in_job COMMAND...: runs it as a background job of its own process group and waits.
# A foreground command would hold back the traps until it ends, and a plain
# background command would hand an ignored SIGINT down to everything under test.
# Where nobody watches, what it says is kept, for the end to repeat.
in_job() {
  local job
  set -m
  if [ -t 1 ] || [ -z "${part:-}" ]; then
    ("$@") </dev/null &
  else
    ("$@") </dev/null > >(tee "$scratch/log/part-$part.log") 2>&1 &
  fi
  job=$!
  set +m
  wait "$job"
}
