"""The schema of the sandbox's database: the statements of each version, applied in turn."""

_FIRST = """
CREATE TABLE signing (secret BLOB NOT NULL);
CREATE TABLE accounts (
    row INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    key_hash BLOB,
    min_interval INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE monitors (
    row INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_ping_at INTEGER,
    UNIQUE (account, id)
);
CREATE TABLE rules (
    row INTEGER PRIMARY KEY,
    monitor INTEGER NOT NULL REFERENCES monitors ON DELETE CASCADE,
    field TEXT NOT NULL,
    operator TEXT NOT NULL,
    value REAL NOT NULL,
    UNIQUE (monitor, field, operator, value)
);
CREATE TABLE runs (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    monitor INTEGER NOT NULL REFERENCES monitors ON DELETE CASCADE,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    meta TEXT,
    error_message TEXT
);
CREATE INDEX runs_of_monitor ON runs (monitor);
CREATE UNIQUE INDEX one_open_run ON runs (monitor) WHERE status = 'running';
CREATE TABLE logs (
    run INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
    content TEXT NOT NULL
);
CREATE TABLE alerts (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    message TEXT NOT NULL,
    log_head TEXT,
    created_at INTEGER NOT NULL
);
CREATE INDEX alerts_of_run ON alerts (run)
"""

_DETECTION_AND_CHANNELS = """
ALTER TABLE monitors ADD COLUMN schedule TEXT;
ALTER TABLE monitors ADD COLUMN timezone TEXT NOT NULL DEFAULT 'UTC';
ALTER TABLE monitors ADD COLUMN grace INTEGER NOT NULL DEFAULT 300000;
ALTER TABLE monitors ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE monitors ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE monitors ADD COLUMN watched_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE monitors ADD COLUMN missed_at INTEGER;
ALTER TABLE runs ADD COLUMN is_anomaly INTEGER NOT NULL DEFAULT 0;
DROP INDEX one_open_run;
CREATE UNIQUE INDEX one_open_run ON runs (monitor) WHERE finished_at IS NULL;
CREATE TABLE detection (
    seen_at INTEGER NOT NULL,
    watching_since INTEGER NOT NULL
);
CREATE TABLE channels (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    monitor INTEGER NOT NULL REFERENCES monitors ON DELETE CASCADE,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    url TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (monitor, url)
);
CREATE TABLE deliveries (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
    alert INTEGER REFERENCES alerts ON DELETE CASCADE,
    status TEXT NOT NULL DEFAULT 'pending',
    created_at INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL
);
CREATE INDEX deliveries_of_channel ON deliveries (channel);
CREATE INDEX deliveries_of_alert ON deliveries (alert);
CREATE INDEX pending_deliveries ON deliveries (channel) WHERE status = 'pending';
CREATE TABLE attempts (
    row INTEGER PRIMARY KEY,
    delivery INTEGER NOT NULL REFERENCES deliveries ON DELETE CASCADE,
    at INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    http_status INTEGER,
    error TEXT
);
CREATE INDEX attempts_of_delivery ON attempts (delivery)
"""

MIGRATIONS = (_FIRST, _DETECTION_AND_CHANNELS)
"""Element N brings a database from version N, 0 being an empty file, to version N + 1."""
