//! A client layer that notes every write in [`Activity`].

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use serde::Deserialize;
use tower::{BoxError, Layer, Service};

use crate::activity::{Activity, ResourceKey};

/// Notes the resource version that the API server answers to each POST, PUT and PATCH, also on the subresources
/// `status` and `scale`. Dry runs are left out. A DELETE is noted only while finalizers keep the object.
///
/// Add it with `kube::client::ClientBuilder::with_layer`, or around the service given to `kube::Client::new`.
#[derive(Debug, Clone)]
pub struct TrackWritesLayer {
    activity: Activity,
}

impl TrackWritesLayer {
    /// A layer that writes into `activity`.
    #[must_use]
    pub fn new(activity: Activity) -> Self {
        Self { activity }
    }
}

impl<S> Layer<S> for TrackWritesLayer {
    type Service = TrackWrites<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TrackWrites { inner, activity: self.activity.clone() }
    }
}

/// The service that [`TrackWritesLayer`] makes.
#[derive(Debug, Clone)]
pub struct TrackWrites<S> {
    inner: S,
    activity: Activity,
}

impl<S, B> Service<Request<Body>> for TrackWrites<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<UnsyncBoxBody<Bytes, BoxError>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let key = written_resource(&request);
        let activity = self.activity.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let (head, body) = answer.await.map_err(Into::into)?.into_parts();
            let Some(key) = key.filter(|_| head.status.is_success()) else {
                return Ok(Response::from_parts(head, body.map_err(Into::into).boxed_unsync()));
            };
            let bytes = body.collect().await.map_err(Into::into)?.to_bytes();
            if let Some(version) = resource_version(&bytes) {
                activity.wrote(key, &version);
            }
            Ok(Response::from_parts(head, Full::new(bytes).map_err(|never| match never {}).boxed_unsync()))
        })
    }
}

/// The kind that a request writes; `None` for reads, dry runs and subresources that answer another kind.
fn written_resource<B>(request: &Request<B>) -> Option<ResourceKey> {
    if ![Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(request.method()) {
        return None;
    }
    let dry_run =
        request.uri().query().is_some_and(|query| query.split('&').any(|p| p.starts_with("dryRun=")));
    if dry_run {
        return None;
    }
    resource_of_path(request.uri().path())
}

fn resource_of_path(path: &str) -> Option<ResourceKey> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, rest) = match parts.as_slice() {
        ["api", _version, rest @ ..] => ("", rest),
        ["apis", group, _version, rest @ ..] => (*group, rest),
        _ => return None,
    };
    let plural = match rest {
        ["namespaces", _, "status"] => "namespaces",
        ["namespaces", _, plural] | ["namespaces", _, plural, _] => plural,
        ["namespaces", _, plural, _, "status" | "scale"] => plural,
        [plural] | [plural, _] | [plural, _, "status" | "scale"] => plural,
        _ => return None,
    };
    Some(ResourceKey { group: group.to_owned(), plural: plural.to_owned() })
}

fn resource_version(body: &Bytes) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        resource_version: Option<String>,
    }
    #[derive(Deserialize)]
    struct Object {
        metadata: Meta,
    }
    serde_json::from_slice::<Object>(body).ok()?.metadata.resource_version
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_their_resource() {
        for (path, expected) in [
            ("/api/v1/namespaces/shop/configmaps", Some("configmaps")),
            ("/api/v1/namespaces/shop/configmaps/a", Some("configmaps")),
            ("/api/v1/namespaces/shop", Some("namespaces")),
            ("/api/v1/nodes/a", Some("nodes")),
            ("/apis/apps/v1/namespaces/shop/deployments/a/scale", Some("deployments.apps")),
            (
                "/apis/causeway.dev/v1alpha1/namespaces/shop/incidents/a/status",
                Some("incidents.causeway.dev"),
            ),
            ("/apis/causeway.dev/v1alpha1/pauses/all", Some("pauses.causeway.dev")),
            ("/api/v1/namespaces/shop/pods/a/eviction", None),
            ("/version", None),
        ] {
            let found = resource_of_path(path).map(|key| key.to_string());
            assert_eq!(found.as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn reads_and_dry_runs_are_left_out() {
        let request = |method: &str, uri: &str| Request::builder().method(method).uri(uri).body(()).unwrap();
        assert!(written_resource(&request("GET", "/api/v1/pods")).is_none());
        assert!(written_resource(&request("PATCH", "/api/v1/namespaces/a/pods/b?&dryRun=All")).is_none());
        assert!(written_resource(&request("PATCH", "/api/v1/namespaces/a/pods/b?fieldManager=x")).is_some());
    }
}
