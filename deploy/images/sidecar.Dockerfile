# syntax=docker/dockerfile:1.9
# The sidecar of dapr/sidecar: daprd with the components of the shipped profiles.
FROM golang:1.26.8-bookworm AS build
WORKDIR /src/dapr/sidecar
ENV CGO_ENABLED=0 GOFLAGS="-trimpath"
COPY dapr/sidecar/go.mod dapr/sidecar/go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY dapr/sidecar/ ./
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    mkdir -p /out/bin /out/var/lib/lms/run /out/var/lib/lms/mail && \
    go build -ldflags="-s -w" -o /out/bin/daprd . && \
    ln /out/bin/daprd /out/daprd && \
    go version -m /out/bin/daprd > /out/modules.txt

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build --chown=65532:65532 /out/ /
USER 65532:65532
WORKDIR /var/lib/lms/run
# Dapr's injector starts /daprd.
ENTRYPOINT ["/bin/daprd"]
