# The program with Mesa's Vulkan drivers: those of AMD and Intel, and llvmpipe, which runs the shaders in software.
#   docker build -t unheat --build-arg COMMIT="$(git rev-parse --short=12 HEAD)" .
#   docker run --rm -v "$PWD:/work" unheat devices
# docs/install.md says what has been tried of it.
FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY . .
# What `unheat --version` names; the checkout's .git stays outside.
ARG COMMIT
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    UNHEAT_COMMIT=$COMMIT cargo build --locked --release && cp target/release/unheat /usr/local/bin/

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends mesa-vulkan-drivers \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 unheat \
    && install -d -o unheat -g unheat /work
COPY --from=build /usr/local/bin/unheat /usr/local/bin/
# Any other user (docker run --user) may write here, too.
ENV UNHEAT_CACHE_DIR=/tmp/unheat
USER unheat
WORKDIR /work
ENTRYPOINT ["unheat"]
CMD ["--help"]
