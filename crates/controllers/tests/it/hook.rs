//! Somebody else's system, which is called by webhook and keeps what it was asked.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;

/// A server of its own.
pub(crate) struct Hook {
    address: std::net::SocketAddr,
    keys: Arc<Mutex<Vec<String>>>,
}

impl Hook {
    pub(crate) async fn start() -> Self {
        let keys: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&keys);
        let answer = move |headers: HeaderMap| {
            let key = headers["idempotency-key"].to_str().unwrap().to_owned();
            kept.lock().unwrap().push(key);
            async {}
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, keys }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Idempotency keys, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.keys.lock().unwrap().clone()
    }
}
