//! Where the tables of the lake live.

use causeway_lake::{S3Options, StoreOptions};
use clap::Args;

/// Arguments of the object store.
#[derive(Clone, Args)]
pub(crate) struct StoreArguments {
    /// Bucket for the tables, `s3://BUCKET` or `s3://BUCKET/PREFIX`; without it they are in the data folder
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
    /// The store, when it is not the data folder.
    pub(crate) fn options(self) -> Option<StoreOptions> {
        let url = self.store?;
        Some(StoreOptions::S3(S3Options {
            url,
            endpoint: self.s3_endpoint,
            region: self.s3_region,
            access_key_id: self.s3_access_key_id,
            secret_access_key: self.s3_secret_access_key,
            session_token: self.s3_session_token,
        }))
    }
}
