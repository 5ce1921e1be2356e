# Node runs the TypeScript as it is: there is nothing to compile. The image brings its own Node, so the one that
# package.json lists as an optional dependency stays out.

FROM node:24-bookworm-slim AS generated
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/client/package.json ./packages/client/
RUN npm ci --omit=optional
COPY prisma.config.ts ./
COPY prisma ./prisma
COPY scripts/generate.ts ./scripts/generate.ts
RUN node scripts/generate.ts

# The chat page, if it is asked for: docker build --build-arg WEB=true
FROM generated AS web
ARG WEB=false
COPY codegen.ts schema.graphql tsconfig.json ./
COPY packages ./packages
COPY examples ./examples
COPY scripts ./scripts
# What builds it has parts for each platform, which are optional dependencies.
RUN mkdir -p dist/web && if [ "$WEB" = true ]; then npm ci && node scripts/web.ts --build; fi

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/client/package.json ./packages/client/
# The native library that reads images is an optional dependency, too.
RUN npm ci --omit=dev && rm -rf node_modules/node-linux-* node_modules/.bin/node

FROM node:24-bookworm-slim
WORKDIR /app
ARG WEB=false
ENV NODE_ENV=production PORT=4000 DATA_DIR=/data WEB=$WEB
RUN install -d -o node -g node -m 0700 /data
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json ./
COPY prisma/migrations ./prisma/migrations
COPY prisma/seed.json ./prisma/seed.json
COPY prisma/knowledge ./prisma/knowledge
COPY scripts/migrate.ts ./scripts/migrate.ts
COPY src ./src
COPY --from=generated /app/src/generated ./src/generated
COPY --from=web /app/dist/web ./dist/web
USER node
VOLUME /data
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Not through npm: the signals of the container are for the server itself.
CMD ["node", "src/main.ts"]
