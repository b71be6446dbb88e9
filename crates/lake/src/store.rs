//! The object store that holds the tables.

use std::path::PathBuf;
use std::sync::Arc;

use causeway_model::Table;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use futures::TryStreamExt as _;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode};
use url::Url;

use crate::LakeError;
use crate::lake::Lake;
use crate::options::{S3Options, StoreOptions};

/// The store, seen from the folder of all tables.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// Whole file system or bucket; Delta wants it besides the prefixed one.
    root: Arc<dyn ObjectStore>,
    prefix: Path,
    url: Url,
    /// Rooted at the folder of all tables.
    pub(crate) tables: Arc<dyn ObjectStore>,
    local: Option<PathBuf>,
}

impl Store {
    /// Opens the store; a missing local folder is created.
    pub(crate) fn open(options: &StoreOptions) -> Result<Self, LakeError> {
        match options {
            StoreOptions::Local(folder) => Self::local(folder),
            StoreOptions::S3(s3) => Self::s3(s3),
        }
    }

    fn local(folder: &std::path::Path) -> Result<Self, LakeError> {
        let io = |doing| move |source| LakeError::Io { doing, path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(io("create"))?;
        let folder = folder.canonicalize().map_err(io("find"))?;
        let option = |detail: String| LakeError::Option { name: "store", detail };
        let prefix = Path::from_absolute_path(&folder).map_err(|e| option(e.to_string()))?;
        let url = Url::from_directory_path(&folder)
            .map_err(|()| option(format!("{} is not an absolute path", folder.display())))?;
        Ok(Self::with(Arc::new(LocalFileSystem::new()), prefix, url, Some(folder)))
    }

    fn s3(options: &S3Options) -> Result<Self, LakeError> {
        let option = |detail: String| LakeError::Option { name: "store.url", detail };
        let mut url = Url::parse(&options.url).map_err(|e| option(format!("{}: {e}", options.url)))?;
        let bucket = url.host_str().unwrap_or_default().to_owned();
        if url.scheme() != "s3" || bucket.is_empty() {
            return Err(option(format!("{} is not s3://bucket or s3://bucket/prefix", options.url)));
        }
        let prefix = Path::from_url_path(url.path()).map_err(|e| option(e.to_string()))?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket)
            .with_region(options.region.as_deref().unwrap_or("us-east-1"))
            .with_conditional_put(S3ConditionalPut::ETagMatch);
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(key) = &options.access_key_id {
            builder = builder.with_access_key_id(key);
        }
        if let Some(secret) = &options.secret_access_key {
            builder = builder.with_secret_access_key(secret);
        }
        if let Some(token) = &options.session_token {
            builder = builder.with_token(token);
        }
        Ok(Self::with(Arc::new(builder.build()?), prefix, url, None))
    }

    fn with(root: Arc<dyn ObjectStore>, prefix: Path, url: Url, local: Option<PathBuf>) -> Self {
        let tables = Arc::new(PrefixStore::new(root.clone(), prefix.clone()));
        Self { root, prefix, url, tables, local }
    }

    /// Delta's view of one table. Commits are conditional puts, so no lock service is needed.
    pub(crate) fn log_store(&self, table: Table) -> Result<LogStoreRef, LakeError> {
        let url = self
            .url
            .join(&format!("{}/", table.name()))
            .map_err(|e| LakeError::Option { name: "store", detail: e.to_string() })?;
        let path = self.prefix.clone().join(table.name());
        let prefixed = Arc::new(PrefixStore::new(self.root.clone(), path));
        Ok(default_logstore(prefixed, self.root.clone(), &url, &StorageConfig::default()))
    }

    /// Makes files durable that were written before; an object store has done so when it answered.
    /// `paths` are relative to the folder of all tables.
    pub(crate) async fn sync(&self, paths: Vec<String>) -> Result<(), LakeError> {
        let Some(folder) = self.local.clone() else { return Ok(()) };
        let work = move || -> Result<(), LakeError> {
            let mut folders = std::collections::BTreeSet::new();
            for path in paths {
                let path = folder.join(path);
                let io = |source| LakeError::Io { doing: "sync", path: path.clone(), source };
                std::fs::File::open(&path).and_then(|f| f.sync_all()).map_err(io)?;
                folders.extend(
                    path.ancestors().skip(1).take_while(|a| a.starts_with(&folder)).map(PathBuf::from),
                );
            }
            for path in folders {
                let io = |source| LakeError::Io { doing: "sync", path: path.clone(), source };
                std::fs::File::open(&path).and_then(|f| f.sync_all()).map_err(io)?;
            }
            Ok(())
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| LakeError::Thread(e.to_string()))?
    }
}

impl Lake {
    /// Keeps a file beside the tables, under a name such as `bundles/1a2b`, in place of the one that was there.
    ///
    /// # Errors
    /// When the store fails, or the name is no path.
    pub async fn put_file(&self, name: &str, bytes: Vec<u8>) -> Result<(), LakeError> {
        let path = Path::parse(name).map_err(object_store::Error::from)?;
        self.inner.store.tables.put(&path, bytes.into()).await?;
        self.inner.store.sync(vec![name.to_owned()]).await
    }

    /// Keeps a file beside the tables unless there is one of this name; `false`: there is one, and it stays.
    ///
    /// # Errors
    /// When the store fails, or the name is no path.
    pub async fn claim_file(&self, name: &str, bytes: Vec<u8>) -> Result<bool, LakeError> {
        let path = Path::parse(name).map_err(object_store::Error::from)?;
        let options = PutMode::Create.into();
        match self.inner.store.tables.put_opts(&path, bytes.into(), options).await {
            Ok(_) => self.inner.store.sync(vec![name.to_owned()]).await.map(|()| true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Names of all files that are kept below a folder, such as `engine`.
    ///
    /// # Errors
    /// When the store fails, or the name is no path.
    pub async fn files(&self, folder: &str) -> Result<Vec<String>, LakeError> {
        let path = Path::parse(folder).map_err(object_store::Error::from)?;
        let found: Vec<_> = self.inner.store.tables.list(Some(&path)).try_collect().await?;
        Ok(found.into_iter().map(|file| file.location.to_string()).collect())
    }

    /// Removes a file that was kept, if it is there.
    ///
    /// # Errors
    /// When the store fails, or the name is no path.
    pub async fn remove_file(&self, name: &str) -> Result<(), LakeError> {
        let path = Path::parse(name).map_err(object_store::Error::from)?;
        match self.inner.store.tables.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A file that was kept; `None` when there is none of this name.
    ///
    /// # Errors
    /// When the store fails, or the name is no path.
    pub async fn file(&self, name: &str) -> Result<Option<Vec<u8>>, LakeError> {
        let path = Path::parse(name).map_err(object_store::Error::from)?;
        match self.inner.store.tables.get(&path).await {
            Ok(found) => Ok(Some(found.bytes().await?.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Path of a file of a table, seen from the folder of all tables.
pub(crate) fn file_path(table: Table, file: &str) -> Path {
    Path::from_iter(std::iter::once(table.name()).chain(file.split('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_urls_are_checked() {
        for (url, good) in [("s3://b", true), ("s3://b/p/q/", true), ("http://b/p", false), ("b/p", false)] {
            let options = S3Options {
                url: url.to_owned(),
                endpoint: Some("http://127.0.0.1:1".to_owned()),
                access_key_id: Some("a".to_owned()),
                secret_access_key: Some("s".to_owned()),
                ..S3Options::default()
            };
            assert!(!format!("{options:?}").contains("secret"), "secrets are not shown");
            let store = Store::open(&StoreOptions::S3(options));
            assert_eq!(store.is_ok(), good, "{url}");
            if let Ok(store) = store {
                let root = store.log_store(Table::Logs).unwrap().root_url().to_string();
                assert!(root.ends_with("/logs/"), "{root}");
            }
        }
    }

    #[test]
    fn partition_folders_keep_their_equals_sign() {
        assert_eq!(
            file_path(Table::Logs, "date=2026-11-22/a.parquet").as_ref(),
            "logs/date=2026-11-22/a.parquet"
        );
    }
}
