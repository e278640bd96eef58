# syntax=docker/dockerfile:1
# docker build --target broker .     the broker: the program and its run-time packages, and nothing else
# docker build --target workload .   the same with tpm2-tools, for machines that quote
# docker build --target swtpm .      a software TPM, for trying things

FROM node:24-bookworm-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++ make python3 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/clean.js scripts/
COPY src src
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

FROM node:24-bookworm-slim AS broker
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY policies policies
COPY --chmod=0755 scripts/compose/portcullis /usr/local/bin/portcullis
RUN install -d -o node -g node -m 0700 /var/lib/portcullis
USER node
VOLUME /var/lib/portcullis
EXPOSE 8440
# With TLS: HEALTH_URL=https://NAME:8440/healthz, and NODE_EXTRA_CA_CERTS where the certificate is your own.
ENV HEALTH_URL=http://127.0.0.1:8440/healthz
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "fetch(process.env.HEALTH_URL).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["portcullis"]
CMD ["serve", "--data-dir", "/var/lib/portcullis"]

FROM broker AS workload
USER root
RUN apt-get update && apt-get install --yes --no-install-recommends tpm2-tools && rm -rf /var/lib/apt/lists/*
COPY scripts/compose scripts/compose
USER node
HEALTHCHECK NONE
ENTRYPOINT ["/bin/sh"]
CMD ["scripts/compose/workload.sh"]

FROM debian:bookworm-slim AS swtpm
RUN apt-get update && apt-get install --yes --no-install-recommends swtpm && rm -rf /var/lib/apt/lists/* \
  && useradd --uid 1000 --no-create-home tpm
USER tpm
CMD ["swtpm", "socket", "--tpm2", "--tpmstate", "dir=/state", "--flags", "not-need-init,startup-clear", \
  "--server", "type=tcp,port=2321,bindaddr=0.0.0.0", "--ctrl", "type=tcp,port=2322,bindaddr=0.0.0.0", \
  "--pid", "file=/state/swtpm.pid"]

# The last stage is what a plain `docker build .` makes.
FROM broker
