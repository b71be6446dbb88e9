//! The durable copy: one SQLite file, every commit synced before it is acknowledged.

use std::path::Path;

use rusqlite::{Connection, params};
use serde_json::Value;

use crate::store::{Change, Key};

/// Failures of the state file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// SQLite refused: a bad path, no rights, a full disk.
    #[error("state file {path}: {source}")]
    Sqlite {
        /// The file.
        path: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The cluster was closed.
    #[error("the cluster is closed")]
    Closed,
    /// Another process has the file open.
    #[error("state file {path} is in use by another process")]
    InUse {
        /// The file.
        path: String,
    },
    /// A row that is not JSON; the file was changed by something else.
    #[error("state file {path} holds a damaged object {key}: {source}")]
    Damaged {
        /// The file.
        path: String,
        /// Shelf, namespace and name of the object.
        key: String,
        /// What the JSON parser said.
        source: serde_json::Error,
    },
}

/// An open state file, locked for this process.
pub(crate) struct File {
    connection: Connection,
    path: String,
}

/// What a state file held when it was opened.
pub(crate) struct Loaded {
    pub(crate) version: u64,
    pub(crate) objects: Vec<(Key, Value)>,
}

impl File {
    /// Opens or creates the file and reads all of it.
    pub(crate) fn open(path: &Path) -> Result<(Self, Loaded), FileError> {
        let shown = path.display().to_string();
        let wrap = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                FileError::InUse { path: shown.clone() }
            }
            _ => FileError::Sqlite { path: shown.clone(), source },
        };
        let connection = Connection::open(path).map_err(wrap)?;
        // Exclusive locking keeps a second server off the file; FULL syncs the log at every commit.
        connection
            .execute_batch(
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE IF NOT EXISTS object (
                    shelf TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
                    PRIMARY KEY (shelf, namespace, name)) WITHOUT ROWID;
                 CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 0), version INTEGER NOT NULL);
                 INSERT OR IGNORE INTO counter VALUES (0, 1);",
            )
            .map_err(wrap)?;
        let version: i64 =
            connection.query_row("SELECT version FROM counter", [], |row| row.get(0)).map_err(wrap)?;
        let mut objects = Vec::new();
        {
            let mut statement =
                connection.prepare("SELECT shelf, namespace, name, body FROM object").map_err(wrap)?;
            let rows = statement
                .query_map([], |row| {
                    let (shelf, namespace, name): (String, String, String) =
                        (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok((Key::new(&shelf, &namespace, &name), row.get::<_, String>(3)?))
                })
                .map_err(wrap)?;
            for row in rows {
                let (key, body) = row.map_err(wrap)?;
                let value = serde_json::from_str(&body).map_err(|source| FileError::Damaged {
                    path: shown.clone(),
                    key: key.to_string(),
                    source,
                })?;
                objects.push((key, value));
            }
        }
        Ok((Self { connection, path: shown.clone() }, Loaded { version: version.unsigned_abs(), objects }))
    }

    /// Writes the changes and the counter in one transaction; they are on the disk when this returns.
    pub(crate) fn commit(&mut self, version: u64, changes: &[Change]) -> Result<(), FileError> {
        let path = self.path.clone();
        self.try_commit(version, changes).map_err(|source| FileError::Sqlite { path, source })
    }

    fn try_commit(&mut self, version: u64, changes: &[Change]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut put =
                transaction.prepare_cached("INSERT OR REPLACE INTO object VALUES (?1, ?2, ?3, ?4)")?;
            let mut delete = transaction
                .prepare_cached("DELETE FROM object WHERE shelf = ?1 AND namespace = ?2 AND name = ?3")?;
            for change in changes {
                let Key { shelf, namespace, name } = &change.key;
                match &change.new {
                    Some(object) => put.execute(params![&**shelf, namespace, name, object.to_string()])?,
                    None => delete.execute(params![&**shelf, namespace, name])?,
                };
            }
            transaction
                .execute("UPDATE counter SET version = ?1", [i64::try_from(version).unwrap_or(i64::MAX)])?;
        }
        transaction.commit()
    }
}
