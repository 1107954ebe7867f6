# The image of nodes and supervisors: one static binary, certificates, and nothing else.
# docs/containers.md tells how to build, run and check it; it needs BuildKit or buildah.
#
#   docker build -t celeriac .

# A digest behind the tag pins the compilers too: RUST=1.95.0-slim-bookworm@sha256:...
ARG RUST=1.95.0-slim-bookworm

# Compilers run on the machine that builds, also when the image is for another one.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:${RUST} AS compilers
ARG TARGETARCH
RUN set -eu; \
    case "${TARGETARCH:=$(dpkg --print-architecture)}" in \
      amd64) target=x86_64-unknown-linux-gnu gcc=gcc-x86-64-linux-gnu ;; \
      arm64) target=aarch64-unknown-linux-gnu gcc=gcc-aarch64-linux-gnu ;; \
      *) echo "expected TARGETARCH amd64 or arm64, found $TARGETARCH"; exit 1 ;; \
    esac; \
    echo "$target" > /target; \
    if [ "$TARGETARCH" != "$(dpkg --print-architecture)" ]; then \
      apt-get update; \
      apt-get install -y --no-install-recommends "$gcc" "libc6-dev-$TARGETARCH-cross"; \
      rm -rf /var/lib/apt/lists/*; \
      rustup target add "$target"; \
    fi

FROM compilers AS build
# Compilers write this in place of the time at which they run.
ARG SOURCE_DATE_EPOCH=0
WORKDIR /celeriac
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/celeriac/target,sharing=locked \
    image/build.sh /out "$(cat /target)"

FROM scratch AS celeriac
COPY --from=build /out/root/ /
# A volume here takes over this owner.
COPY --from=build --chown=65532:65532 /out/state/ /var/lib/celeriac/

ENV STATE_DIRECTORY=/var/lib/celeriac
# As a number: Kubernetes can check by it that this is not root.
USER 65532:65532
WORKDIR /var/lib/celeriac
# A node's probes and metrics; a supervisor's API and pages; its scaler for KEDA.
EXPOSE 9590 9595 9596
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/celeriac", "probe", "ready"]
ENTRYPOINT ["/celeriac"]
CMD ["--help"]

ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="celeriac" \
      org.opencontainers.image.description="Nodes and supervisors of a worker cluster that speaks Celery" \
      org.opencontainers.image.source="https://github.com/celeriac/celeriac" \
      org.opencontainers.image.documentation="https://github.com/celeriac/celeriac/blob/main/docs/containers.md" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.vendor="The Celeriac contributors" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
