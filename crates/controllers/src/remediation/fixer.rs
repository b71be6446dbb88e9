//! The account in whose name workloads are changed.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderValue, Request};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use tower::service_fn;

use crate::FIXER;

/// Clients that act as the fixer of a namespace.
///
/// Impersonating is a right of its own, which a namespace grants to the executor by a Role for exactly this name: without
/// it, or without a right that the fixer lacks, the API server refuses and says which.
#[derive(Clone)]
pub(crate) struct Fixers {
    client: Client,
    clients: Arc<Mutex<HashMap<String, Client>>>,
}

impl Fixers {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, clients: Arc::default() }
    }

    /// The fixer of a namespace.
    pub(crate) fn of(&self, namespace: &str) -> Client {
        let mut clients = self.clients.lock();
        if let Some(known) = clients.get(namespace) {
            return known.clone();
        }
        let name = format!("system:serviceaccount:{namespace}:{FIXER}");
        let Ok(name) = HeaderValue::from_str(&name) else { return self.client.clone() };
        let (inner, home) = (self.client.clone(), self.client.default_namespace().to_owned());
        let send = service_fn(move |mut request: Request<Body>| {
            request.headers_mut().insert("impersonate-user", name.clone());
            let inner = inner.clone();
            async move { inner.send(request).await }
        });
        let made = Client::new(send, home);
        clients.insert(namespace.to_owned(), made.clone());
        made
    }
}
