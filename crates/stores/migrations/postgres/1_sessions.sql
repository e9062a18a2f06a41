CREATE TABLE web_session (
    key BYTEA NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    body BYTEA NOT NULL,
    subject BYTEA NOT NULL,
    tenant BYTEA NOT NULL,
    session BYTEA,
    idle_ends BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    lease_owner BYTEA,
    lease_ends BIGINT
);
CREATE INDEX web_session_subject ON web_session (subject);
CREATE INDEX web_session_tenant ON web_session (tenant);
CREATE INDEX web_session_session ON web_session (session);
CREATE INDEX web_session_idle_ends ON web_session (idle_ends);
CREATE INDEX web_session_ends ON web_session (ends);

CREATE TABLE web_session_mark (
    mark BYTEA NOT NULL PRIMARY KEY,
    marked_at BIGINT NOT NULL,
    marked_before BIGINT,
    ends BIGINT NOT NULL
);
CREATE INDEX web_session_mark_ends ON web_session_mark (ends);
