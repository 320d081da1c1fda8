# The build steps are the README's commands. To try it:
#   docker build -t portcullis . && docker run --rm -p 9000:9000 -v portcullis:/var/lib/portcullis portcullis
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
# The generated certificate is for localhost, and for the container's name and addresses. For any other name that
# clients use, mount a configuration with `listener.external_url` and add `--config FILE`. What clients need is two
# files, which find each other wherever they are copied to together (in bash and zsh; in other shells set
# AWS_CA_BUNDLE to the second). It is root's access key: keep it to yourself.
#   docker cp CONTAINER:/var/lib/portcullis/data/env.sh . && docker cp CONTAINER:/var/lib/portcullis/data/tls/ca.pem .
#   source ./env.sh
CMD ["serve", "--data", "/var/lib/portcullis/data", "--listen", "0.0.0.0:9000"]
