# Both bases are arguments. `npm run image` makes them from packages where no registry can be reached; these are for everybody else.
# The first needs npm, sh and strip; the second glibc, libstdc++ and CA certificates, and should have nothing more.
ARG BUILD=docker.io/library/node:26-bookworm
ARG BASE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD} AS build
WORKDIR /build
COPY . .
# The secret is the CA certificate of a network that has its own; without one nothing is mounted.
RUN --mount=type=secret,id=ca --mount=type=cache,target=/var/cache/npm \
    if [ -e /run/secrets/ca ]; then export NODE_EXTRA_CA_CERTS=/run/secrets/ca; fi \
    && npm ci --cache /var/cache/npm --prefer-offline --no-audit --no-fund \
    && node_modules/.bin/node sidecar/image/runtime.ts /image/runtime \
    && node_modules/.bin/node sidecar/image/program.ts /image/program \
    && rm -rf node_modules

FROM ${BASE}
# What changes with Node only, then what changes with every commit: the first is 40 MB, the second one.
COPY --from=build /image/runtime/ /
COPY --from=build /image/program/ /
ARG VERSION=0
ARG REVISION=
ARG CREATED=
LABEL org.opencontainers.image.title="outrider" \
      org.opencontainers.image.description="The sidecar for pods that talk to an LLM" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
ENV PATH=/usr/bin
# A number, so that runAsNonRoot can be checked; any other will do as well, for everybody may read all of it and nothing is written.
USER 65532:65532
ENTRYPOINT ["/usr/bin/outrider"]
