//! How the executor runs `git`.

use causeway_controllers::Git;
use clap::Args;

/// Arguments of roles that carry repairs out.
#[derive(Debug, Args)]
pub(crate) struct GitArguments {
    /// Schemes that repositories of policies may have: https, ssh; http and file within closed networks
    #[arg(long, value_name = "SCHEME", value_delimiter = ',', default_values = ["https", "ssh"], value_parser = ["https", "ssh", "http", "file"])]
    git_protocols: Vec<String>,
}

impl GitArguments {
    /// `git` of the PATH.
    pub(crate) fn git(self) -> Git {
        Git { protocols: self.git_protocols, ..Git::default() }
    }
}
