# syntax=docker/dockerfile:1.9
# One service by itself, for those who want an image per service:
#   docker build -f deploy/images/service.Dockerfile --build-arg SERVICE=course .
FROM golang:1.26.8-bookworm AS build
ARG SERVICE
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS="-tags=disable_grpc_modules -trimpath"
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    test -n "$SERVICE" && mkdir -p /out/bin /out/var/lib/lms/run && \
    go build -ldflags="-s -w" -o "/out/bin/service" "./apps/$SERVICE" && \
    go version -m /out/bin/service > /out/modules.txt

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build --chown=65532:65532 /out/ /
USER 65532:65532
WORKDIR /var/lib/lms/run
ENTRYPOINT ["/bin/service"]
