//! What a repository asks for, as Flux keeps it in a Secret, and how `git` gets it: by files of its own folder, never by an
//! argument or the URL.

use std::collections::BTreeMap;
use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Credentials of a repository. `Debug` hides them.
#[derive(Clone, Default)]
pub struct Credentials {
    username: Option<String>,
    password: Option<String>,
    identity: Option<String>,
    known_hosts: Option<String>,
    authorities: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    /// Reads the keys of a Secret: `username` and `password` (or `bearerToken` alone) for HTTPS, `identity` and `known_hosts`
    /// for SSH, `ca.crt` for a server with a private authority. A forge's API gets `password` or `bearerToken`.
    pub fn from_secret(data: &BTreeMap<String, Vec<u8>>) -> Self {
        let text = |key: &str| {
            data.get(key)
                .and_then(|value| String::from_utf8(value.clone()).ok())
                .filter(|text| !text.is_empty())
        };
        let trimmed = |key: &str| text(key).map(|text| text.trim().to_owned());
        Self {
            username: trimmed("username"),
            password: trimmed("password").or_else(|| trimmed("bearerToken")),
            identity: text("identity"),
            known_hosts: text("known_hosts"),
            authorities: text("ca.crt"),
        }
    }

    /// What the API of a forge is asked with.
    pub(crate) fn token(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The private authorities, as PEM.
    pub(crate) fn authorities(&self) -> Option<&str> {
        self.authorities.as_deref()
    }

    /// What is missing for a URL of this scheme.
    pub(crate) fn missing(&self, scheme: &str) -> Option<&'static str> {
        match scheme {
            "ssh" if self.identity.is_none() => Some("identity"),
            // Without it, nobody knows to whom the key is shown.
            "ssh" if self.known_hosts.is_none() => Some("known_hosts"),
            _ => None,
        }
    }

    /// Writes the files into `folder` and tells the variables that lead `git` to them.
    pub(crate) fn lay_out(&self, folder: &Path) -> std::io::Result<Vec<(&'static str, String)>> {
        let at = |name: &str| folder.join(name);
        let show = |name: &str| at(name).to_string_lossy().into_owned();
        // The path is ours: letters, digits, dots, slashes and dashes.
        let script = format!(
            "#!/bin/sh\ncase \"$1\" in\nUsername*) exec cat '{}' ;;\n*) exec cat '{}' ;;\nesac\n",
            show("username"),
            show("password")
        );
        // Tokens work with any name; some servers want one that is not empty.
        write(&at("username"), self.username.as_deref().unwrap_or("git"))?;
        write(&at("password"), self.password.as_deref().unwrap_or_default())?;
        write(&at("askpass"), &script)?;
        std::fs::set_permissions(at("askpass"), Permissions::from_mode(0o700))?;
        let mut variables = vec![("GIT_ASKPASS", show("askpass"))];
        if let Some(authorities) = &self.authorities {
            write(&at("ca.crt"), authorities)?;
            variables.push(("GIT_SSL_CAINFO", show("ca.crt")));
        }
        let mut identity = self.identity.clone().unwrap_or_default();
        if !identity.is_empty() && !identity.ends_with('\n') {
            identity.push('\n');
        }
        write(&at("identity"), &identity)?;
        write(&at("known_hosts"), self.known_hosts.as_deref().unwrap_or_default())?;
        let ssh = format!(
            "ssh -F /dev/null -i '{}' -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile='{}' \
             -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o BatchMode=yes -o ConnectTimeout=20",
            show("identity"),
            show("known_hosts")
        );
        variables.push(("GIT_SSH_COMMAND", ssh));
        variables.push(("GIT_SSH_VARIANT", "ssh".to_owned()));
        Ok(variables)
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_lie_in_files_and_nowhere_else() {
        let data = BTreeMap::from([
            ("username".to_owned(), b"bot".to_vec()),
            ("password".to_owned(), b"hidden\n".to_vec()),
            ("identity".to_owned(), b"KEY".to_vec()),
        ]);
        let credentials = Credentials::from_secret(&data);
        assert_eq!(format!("{credentials:?}"), "Credentials(…)");
        assert_eq!(credentials.missing("ssh"), Some("known_hosts"));
        assert_eq!(credentials.missing("https"), None);
        let folder = tempfile::tempdir().unwrap();
        let variables = credentials.lay_out(folder.path()).unwrap();
        assert!(variables.iter().all(|(_, value)| !value.contains("hidden") && !value.contains("KEY")));
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            (read("username"), read("password"), read("identity")),
            ("bot".into(), "hidden".into(), "KEY\n".into())
        );
        for name in ["password", "identity"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{name}");
        }
    }
}
