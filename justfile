# Short names for the commands of CONTRIBUTING.md; each is also fine by hand.

# list the recipes
default:
    @just --list

# everything a change has to pass
ci:
    bash .ci/run

# all tests, or one part: just test it broker::
test *arguments:
    ./tests/run {{arguments}}

# format the Rust code
fmt:
    cargo fmt --all

# the benchmarks, against private servers
bench *arguments:
    cargo build --release
    ./tests/run with cargo bench -p celeriac-tests {{arguments}}

# one fuzz target for a minute, or as long as told: just fuzz message 600
fuzz target seconds='60':
    cd protocol && cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}}

# a cluster in one process, with demo tasks
up *arguments:
    cargo run --release -- up {{arguments}}
