//! Where the tables of the lake live.

use anyhow::{Result, bail};
use causeway_lake::{S3Options, StoreOptions};
use clap::Args;

/// Arguments of the object store.
#[derive(Clone, Args)]
pub(crate) struct StoreArguments {
    /// Where the tables are: `s3://BUCKET`, `s3://BUCKET/PREFIX`, or `file:///FOLDER` for a folder that all processes
    /// share; without it they are in the data folder
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Endpoint of a store other than Amazon's, such as http://127.0.0.1:9000; it must support conditional writes
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    s3_endpoint: Option<String>,
    /// Region of the bucket
    #[arg(long, env = "AWS_REGION")]
    s3_region: Option<String>,
    #[arg(long, hide = true, env = "AWS_ACCESS_KEY_ID", hide_env_values = true)]
    s3_access_key_id: Option<String>,
    #[arg(long, hide = true, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    s3_secret_access_key: Option<String>,
    #[arg(long, hide = true, env = "AWS_SESSION_TOKEN", hide_env_values = true)]
    s3_session_token: Option<String>,
}

impl std::fmt::Debug for StoreArguments {
    /// Without the credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreArguments")
            .field("store", &self.store)
            .field("s3_endpoint", &self.s3_endpoint)
            .finish_non_exhaustive()
    }
}

impl StoreArguments {
    /// Whether other processes find the tables as well.
    pub(crate) fn is_shared(&self) -> bool {
        self.store.is_some()
    }

    /// The store, when it is not the data folder.
    pub(crate) fn options(self) -> Result<Option<StoreOptions>> {
        let Some(url) = self.store else { return Ok(None) };
        if let Some(folder) = url.strip_prefix("file://") {
            if !folder.starts_with('/') {
                bail!("--store {url}: write a folder as file:///FOLDER, from the root on");
            }
            return Ok(Some(StoreOptions::Local(folder.into())));
        }
        Ok(Some(StoreOptions::S3(S3Options {
            url,
            endpoint: self.s3_endpoint,
            region: self.s3_region,
            access_key_id: self.s3_access_key_id,
            secret_access_key: self.s3_secret_access_key,
            session_token: self.s3_session_token,
        })))
    }
}
