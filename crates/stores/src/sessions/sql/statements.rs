//! The statements, each once for both engines.
//!
//! They differ in what time it is: `$1`, where the process says so, which it always does for SQLite, else Postgres'
//! own clock. Times are milliseconds since 1970.

pub(super) struct Statements {
    pub(super) create: &'static str,
    pub(super) load: &'static str,
    pub(super) replace: &'static str,
    pub(super) claim: &'static str,
    pub(super) touch: &'static str,
    pub(super) remove: &'static str,
    pub(super) find: &'static str,
    pub(super) mark: &'static str,
    pub(super) marked: &'static str,
    pub(super) sweep_rows: &'static str,
    pub(super) sweep_marks: &'static str,
}

macro_rules! columns {
    () => {
        "version, body, subject, tenant, session, idle_ends, ends, lease_owner, lease_ends"
    };
}

macro_rules! statements {
    ($now:literal) => {
        Statements {
            // A row that has expired gives its key up.
            create: concat!(
                "INSERT INTO web_session AS kept ",
                "(key, version, body, subject, tenant, session, idle_ends, ends) ",
                "VALUES ($2, 1, $3, $4, $5, $6, $7, $8) ",
                "ON CONFLICT (key) DO UPDATE SET version = 1, body = excluded.body, ",
                "subject = excluded.subject, tenant = excluded.tenant, session = excluded.session, ",
                "idle_ends = excluded.idle_ends, ends = excluded.ends, ",
                "lease_owner = NULL, lease_ends = NULL ",
                "WHERE kept.idle_ends <= ", $now, " OR kept.ends <= ", $now
            ),
            load: concat!(
                "SELECT ", columns!(), " FROM web_session ",
                "WHERE key = $2 AND idle_ends > ", $now, " AND ends > ", $now
            ),
            replace: concat!(
                "UPDATE web_session SET version = version + 1, body = $4, ",
                "subject = $5, tenant = $6, session = $7, ",
                "idle_ends = CASE WHEN idle_ends > $8 THEN idle_ends ELSE $8 END, ends = $9, ",
                "lease_owner = CASE WHEN $10 = 1 THEN lease_owner END, ",
                "lease_ends = CASE WHEN $10 = 1 THEN lease_ends END ",
                "WHERE key = $2 AND version = $3 AND idle_ends > ", $now, " AND ends > ", $now
            ),
            claim: concat!(
                "UPDATE web_session SET version = version + 1, ",
                "lease_owner = $4, lease_ends = ", $now, " + $5 ",
                "WHERE key = $2 AND version = $3 AND idle_ends > ", $now, " AND ends > ", $now,
                " AND (lease_ends IS NULL OR lease_ends <= ", $now, ") ",
                "RETURNING ", columns!()
            ),
            touch: concat!(
                "UPDATE web_session SET idle_ends = $3 ",
                "WHERE key = $2 AND idle_ends < $3 AND idle_ends > ", $now, " AND ends > ", $now
            ),
            remove: concat!(
                "DELETE FROM web_session ",
                "WHERE key = $2 AND idle_ends > ", $now, " AND ends > ", $now,
                " RETURNING ", columns!()
            ),
            find: concat!(
                "SELECT key FROM web_session ",
                "WHERE (subject = $2 OR tenant = $2 OR session = $2) ",
                "AND idle_ends > ", $now, " AND ends > ", $now
            ),
            // What it said before is kept beside, so that one statement both writes and tells. `$5` is 1 where the
            // first time stays.
            mark: concat!(
                "INSERT INTO web_session_mark AS kept (mark, marked_at, ends) ",
                "VALUES ($2, $3, ", $now, " + $4) ",
                "ON CONFLICT (mark) DO UPDATE SET ",
                "marked_before = CASE WHEN kept.ends > ", $now, " THEN kept.marked_at END, ",
                "marked_at = CASE WHEN kept.ends > ", $now,
                " AND ($5 = 1 OR kept.marked_at > excluded.marked_at) ",
                "THEN kept.marked_at ELSE excluded.marked_at END, ",
                "ends = excluded.ends RETURNING marked_before"
            ),
            marked: concat!(
                "SELECT marked_at FROM web_session_mark WHERE mark = $2 AND ends > ", $now
            ),
            sweep_rows: concat!(
                "DELETE FROM web_session WHERE key IN ",
                "(SELECT key FROM web_session WHERE idle_ends <= ", $now, " OR ends <= ", $now,
                " LIMIT $2)"
            ),
            sweep_marks: concat!(
                "DELETE FROM web_session_mark WHERE mark IN ",
                "(SELECT mark FROM web_session_mark WHERE ends <= ", $now, " LIMIT $2)"
            ),
        }
    };
}

#[cfg(feature = "sqlite")]
pub(super) static SQLITE: Statements = statements!("$1");

#[cfg(feature = "postgres")]
pub(super) static POSTGRES: Statements =
    statements!("COALESCE($1, CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS BIGINT))");
