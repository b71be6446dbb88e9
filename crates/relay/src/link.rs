//! The gateway's connection to whichever operator leads.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;

use crate::message::PATH;
use crate::{Answer, Exchange, RelayError};

/// A commit of a large file to a slow store is within it.
const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(3);

/// Finds the leader among all addresses of a name: only a leader listens.
pub struct Link {
    /// Host and port.
    endpoint: String,
    token: String,
    http: reqwest::Client,
    leader: Option<SocketAddr>,
}

impl Link {
    /// A link to `endpoint`, host and port; the host may have an address for every candidate, as a headless Service has.
    ///
    /// # Errors
    /// [`RelayError::Unreachable`] when the machine can't make connections at all.
    pub fn new(endpoint: impl Into<String>, token: impl Into<String>) -> Result<Self, RelayError> {
        let endpoint = endpoint.into();
        // One exchange at a time, so that one idle connection is all there ever is.
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|error| RelayError::Unreachable {
                endpoint: endpoint.clone(),
                detail: error.to_string(),
            })?;
        Ok(Self { endpoint, token: token.into(), http, leader: None })
    }

    /// Address of the leader that answered last.
    #[must_use]
    pub fn leader(&self) -> Option<SocketAddr> {
        self.leader
    }

    /// One exchange. After an error the other side may have taken it all the same.
    ///
    /// # Errors
    /// [`RelayError::Unreachable`] when nobody leads, [`RelayError::Token`], or an answer that can't be read.
    pub async fn exchange(&mut self, exchange: &Exchange) -> Result<Answer, RelayError> {
        let body = Bytes::from(rmp_serde::to_vec(exchange)?);
        if let Some(leader) = self.leader {
            let answer = self.ask(leader, body).await;
            if answer.is_err() {
                self.leader = None;
            }
            return answer;
        }
        let mut last = Err(self.unreachable("the name has no address".to_owned()));
        let found = tokio::net::lookup_host(&self.endpoint).await;
        for address in found.map_err(|error| self.unreachable(error.to_string()))? {
            last = self.ask(address, body.clone()).await;
            if last.is_ok() {
                self.leader = Some(address);
                break;
            }
        }
        last
    }

    async fn ask(&self, address: SocketAddr, body: Bytes) -> Result<Answer, RelayError> {
        let url = format!("http://{address}{PATH}");
        let sent = self.http.post(url).bearer_auth(&self.token).body(body).send().await;
        let response = sent.map_err(|error| self.unreachable(chain(&error)))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(chain(&error)))?;
        match status {
            StatusCode::OK => Ok(rmp_serde::from_slice(&bytes)?),
            StatusCode::UNAUTHORIZED => Err(RelayError::Token { endpoint: self.endpoint.clone() }),
            other => Err(self.unreachable(format!("{other}: {}", String::from_utf8_lossy(&bytes)))),
        }
    }

    fn unreachable(&self, detail: String) -> RelayError {
        RelayError::Unreachable { endpoint: self.endpoint.clone(), detail }
    }
}

/// An error with its causes: the outer one alone says only that sending failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
