# The build steps are the README's commands.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc make cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/portcullis --create-home portcullis
COPY --from=build /src/target/release/portcullis /usr/local/bin/portcullis
USER portcullis
WORKDIR /var/lib/portcullis
VOLUME /var/lib/portcullis
EXPOSE 9000
HEALTHCHECK --interval=10s --timeout=3s CMD curl -fsS http://127.0.0.1:9001/healthz || exit 1
ENTRYPOINT ["portcullis"]
CMD ["serve", "--data", "/var/lib/portcullis/data", "--listen", "0.0.0.0:9000"]
