//! The token of a kubeconfig's user, for a client of Causeway's own API, which takes the tokens of the cluster.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The kubeconfig that is meant: the one given, the first of `$KUBECONFIG`, or the one in the home folder, if it exists.
pub(crate) fn find(given: Option<PathBuf>) -> Option<PathBuf> {
    let listed = || std::env::split_paths(&std::env::var_os("KUBECONFIG")?).find(|path| path.is_file());
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".kube/config"));
    given.or_else(listed).or_else(home).filter(|path| path.is_file())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    #[serde(default)]
    current_context: String,
    #[serde(default)]
    contexts: Vec<NamedContext>,
    #[serde(default)]
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    #[serde(default)]
    context: Names,
}

#[derive(Default, Deserialize)]
struct Names {
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    token: Option<String>,
    token_file: Option<PathBuf>,
}

/// The token of the user of the current context.
///
/// # Errors
/// When the file can't be read, or its user signs in without a token.
pub(crate) fn token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let user = user(&text).with_context(|| format!("{} is no kubeconfig", path.display()))?;
    match user {
        User { token: Some(token), .. } => Ok(token),
        User { token_file: Some(file), .. } => {
            let token = std::fs::read_to_string(&file)
                .with_context(|| format!("cannot read a token from {}", file.display()))?;
            Ok(token.trim().to_owned())
        }
        _ => bail!(
            "the user of {} signs in without a token: give --token, such as $(kubectl create token NAME)",
            path.display()
        ),
    }
}

fn user(text: &str) -> Result<User> {
    let document: Document = serde_saphyr::from_str(text)?;
    let current = document.current_context;
    let context = document.contexts.into_iter().find(|context| context.name == current);
    let name = context.context("it has no current context")?.context.user;
    let user = document.users.into_iter().find(|user| user.name == name);
    Ok(user.context("the user of its current context is not in it")?.user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_the_current_context_counts() {
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: b\nclusters: []\ncontexts:\n\
                    - {name: a, context: {cluster: x, user: one}}\n- {name: b, context: {cluster: x, user: two, namespace: shop}}\n\
                    users:\n- {name: one, user: {token: wrong}}\n- {name: two, user: {token: right}}\n";
        assert_eq!(user(text).unwrap().token.as_deref(), Some("right"));
        assert!(user("current-context: c\n").is_err());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, text.replace("token: right", "client-certificate: x")).unwrap();
        assert!(token(&path).unwrap_err().to_string().contains("without a token"));
    }
}
