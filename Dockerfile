# syntax=docker/dockerfile:1
#
# atsync in a small image: no shell, not root, data in /data.
#
#   docker build -t atsync .
#   docker run --rm -v atsync:/data -v "$PWD/config.yaml:/etc/atsync/config.yaml:ro" \
#     -e ATSYNC_DATA_DIR=/data -e 'ATSYNC_SINK__PATH=/data/{tenant}.duckdb' \
#     -e ACME_CODE -e ACME_SECRET atsync --config /etc/atsync/config.yaml sync
#
# The bases are pinned by tag; the runtime base has no finer tag than this one. For a release, pass both by
# digest: --build-arg BUILD_IMAGE=golang@sha256:… --build-arg RUNTIME_IMAGE=gcr.io/distroless/cc-debian12@sha256:…
ARG BUILD_IMAGE=golang:1.26.8-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
# Modules first: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# DuckDB is linked in through cgo. The runtime image has the C and C++ libraries of the same Debian release.
ENV CGO_ENABLED=1
RUN go build -trimpath -ldflags='-s -w' -o /out/atsync ./cmd/atsync && mkdir /out/data

FROM ${RUNTIME_IMAGE}
LABEL org.opencontainers.image.title="atsync" \
      org.opencontainers.image.description="Syncs Autotask PSA into DuckDB" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /out/atsync /usr/local/bin/atsync
COPY --from=build /src/LICENSE /usr/share/doc/atsync/LICENSE
# An empty folder of the unprivileged user, so that a new volume belongs to it.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
WORKDIR /data
VOLUME /data
# Proves that the binary and its libraries load. It says nothing of the last sync: ask `atsync status` for that.
HEALTHCHECK --interval=60s --timeout=10s --start-period=5s CMD ["/usr/local/bin/atsync", "version"]
ENTRYPOINT ["/usr/local/bin/atsync"]
CMD ["--help"]
