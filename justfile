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

# write docs/configuration.md anew
configuration:
    cargo run -q -p celeriac-cli -- check --print-schema --format markdown >docs/configuration.md

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

# the container image: just image celeriac:dev
image tag='celeriac:dev':
    docker build --tag {{tag}} --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) \
        --build-arg REVISION=$(git rev-parse HEAD) \
        --build-arg CREATED=$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ) .

# RabbitMQ, Redis, a supervisor and two nodes in containers
compose *arguments:
    docker compose up --build {{arguments}}

# the bill of materials of the binary, as cli/celeriac_bin.cdx.json
sbom:
    cargo cyclonedx --version >/dev/null 2>&1 || cargo install cargo-cyclonedx --locked --version 0.5.9
    cargo cyclonedx --manifest-path cli/Cargo.toml --format json --spec-version 1.5 \
        --target x86_64-unknown-linux-gnu --describe binaries

# a cluster in one process, with demo tasks
up *arguments:
    cargo run --release -- up {{arguments}}
