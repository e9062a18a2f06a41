# Every recipe is one plain line: without `just`, type that line.

[private]
default:
    @just --list --unsorted

# Start the pair, with an embedded identity provider if none is configured; `just up --check` ends after one request
up *args:
    cargo up {{args}}

# Start the embedded identity provider alone
idp *args:
    cargo run --quiet --package dev-idp -- {{args}}

# Start public-data alone
public:
    cargo run --quiet --package public-data

# Start protected-data alone
protected:
    cargo run --quiet --package protected-data

# Check the configuration, the identity provider and the running pair; `just doctor --dev` beside `just up`
doctor *args:
    cargo m2m doctor {{args}}

# Print a token reply of the running embedded provider
token:
    curl -sS -u "${CLIENT_ID:-dev-client}:${CLIENT_SECRET:-dev-secret}" -d grant_type=client_credentials http://127.0.0.1:6003/api/v1/oauth2/token

# Run the tests
test:
    cargo test --workspace

# Run many scripts of the simulated world; a failing seed prints the line that repeats it
sim count='10000':
    M2M_SEEDS={{count}} cargo test --release --package tests --test simulation seeded

# Run one script of it again
sim-seed seed:
    M2M_SEED={{seed}} cargo test --package tests --test simulation seeded

# Check what is in deploy/ with linters, and run the services from the roots of their images
check-deploy:
    bash .ci/deploy

# Check the services' OpenAPI documents and answers with schemathesis (needs Python)
openapi:
    bash .ci/openapi

# Run the Postman collection with newman (needs npm)
postman:
    bash .ci/postman

# Run clippy; warnings are errors
lint:
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# Format the code
fmt:
    cargo fmt --all

# Build the documentation and open it
doc:
    cargo doc --workspace --no-deps --all-features --open

# Check licences, bans and sources (needs cargo-deny)
deny:
    cargo deny --offline check bans licenses sources

# Measure the libraries: tables, and the same as JSON and SVG in target/bench
bench:
    cargo bench --workspace

# Count the instructions of the hot paths and compare them with tests/instructions.txt (needs valgrind)
bench-instructions:
    cargo bench --package measure --bench instructions

# Measure what a request costs the services, beside the same route without the validator
bench-services *args:
    cargo run --release --package load -- bench {{args}}

# Put the pair under load for two minutes while keys rotate and the provider comes and goes
load *args:
    cargo run --release --package load -- {{args}}

# The same for hours
soak hours="8":
    cargo run --release --package load -- --duration {{hours}}h --out target/soak

# Plant one bug at a time and see which tests notice; takes about half an hour
plant *args:
    bash tests/plant/run {{args}}

# Run everything that CI runs
ci:
    bash .ci/run
