# syntax=docker/dockerfile:1.9
# The command lms, which carries every service: one layer for all of them, and the
# pages of one file for those that run on one node. Started under a service's name
# it is that service: /bin/course and so on are the same file.
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS="-tags=disable_grpc_modules -trimpath"
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    mkdir -p /out/bin /out/var/lib/lms/run /out/var/lib/lms/mail /out/var/lib/lms/objects /out/var/lib/lms/search && \
    go build -ldflags="-s -w" -o /out/bin/lms ./apps/lms && \
    for entry in apps/*/entry; do ln /out/bin/lms "/out/bin/$(basename "$(dirname "$entry")")"; done && \
    go version -m /out/bin/lms > /out/modules.txt

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build --chown=65532:65532 /out/ /
USER 65532:65532
WORKDIR /var/lib/lms/run
ENTRYPOINT ["/bin/lms"]
