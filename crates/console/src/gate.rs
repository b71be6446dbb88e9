//! Tells who a token belongs to, and gives a client of the Kubernetes API that acts with it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, PostParams};
use kube::config::AuthInfo;
use kube::{Client, Config};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use crate::failure::{Failure, Result};
use crate::session::{Session, Token};

/// How long the API server's word on a token, and on the namespaces that it opens, is taken for true.
const TRUST: Duration = Duration::from_secs(60);
/// Callers that are remembered; further ones are asked about each time.
const MAX_SESSIONS: usize = 1024;
/// How long connecting to the API server may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The way from a token to a client. It has no credential of its own.
pub struct Gate {
    config: Config,
    /// Tokens that stand for a client of this process.
    own: Vec<(Token, Client)>,
    sessions: Mutex<HashMap<[u8; 32], (Instant, Session)>>,
}

impl Gate {
    /// A gate to the API server of a configuration, of which address, certificates and proxy are taken, and no credential.
    #[must_use]
    pub fn new(mut config: Config) -> Self {
        config.auth_info = AuthInfo::default();
        config.headers = Vec::new();
        config.connect_timeout = Some(CONNECT);
        Self { config, own: Vec::new(), sessions: Mutex::default() }
    }

    /// Lets a token in as a client of this process; for whoever may read the file that the token lies in.
    #[must_use]
    pub fn with_own(mut self, token: &str, client: Client) -> Self {
        self.own.extend(Token::parse(token).map(|token| (token, client)));
        self
    }

    /// Address of the API server.
    pub(crate) fn server(&self) -> String {
        self.config.cluster_url.to_string()
    }

    /// The session of a token: its user, as the API server says.
    pub(crate) async fn session(&self, token: &Token) -> Result<Session> {
        let key: [u8; 32] = Sha256::digest(token.expose()).into();
        let known = self.sessions.lock().get(&key).cloned();
        if let Some((at, session)) = known
            && at.elapsed() < TRUST
        {
            return Ok(session);
        }
        let client = self.client(token)?;
        let whoami: Api<SelfSubjectReview> = Api::all(client.clone());
        let answer = whoami.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
        let user = answer.status.and_then(|s| s.user_info).and_then(|u| u.username).unwrap_or_default();
        if user.is_empty() || user == "system:anonymous" {
            return Err(Failure::unauthorized("the API server does not know whose the token is"));
        }
        let session =
            Session { user: user.into(), token: token.clone(), client, readable: Arc::new(OnceCell::new()) };
        let mut sessions = self.sessions.lock();
        if sessions.len() >= MAX_SESSIONS {
            sessions.retain(|_, (at, _)| at.elapsed() < TRUST);
        }
        if sessions.len() < MAX_SESSIONS {
            sessions.insert(key, (Instant::now(), session.clone()));
        }
        Ok(session)
    }

    /// Forgets a token, so that it is asked about again.
    pub(crate) fn forget(&self, token: &Token) {
        let key: [u8; 32] = Sha256::digest(token.expose()).into();
        self.sessions.lock().remove(&key);
    }

    fn client(&self, token: &Token) -> Result<Client> {
        if let Some((_, client)) = self.own.iter().find(|(own, _)| own == token) {
            return Ok(client.clone());
        }
        let mut config = self.config.clone();
        config.auth_info.token = Some(token.expose().to_owned().into());
        Ok(Client::try_from(config)?)
    }
}
