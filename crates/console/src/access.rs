//! What the caller may do, as the API server says: reviews of access in the caller's own name.

use std::collections::BTreeSet;

use causeway_model::Caller;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams, PostParams};

use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::session::Session;

/// Reviews that are asked for at the same time.
const AT_ONCE: usize = 8;
/// Namespaces that are asked about.
const MAX_NAMESPACES: usize = 1000;

/// Something that may be allowed.
pub(crate) struct Right<'a> {
    pub(crate) verb: &'a str,
    /// Plural name of a kind of Causeway.
    pub(crate) resource: &'a str,
    /// Without it: in all namespaces.
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
}

/// Whether the caller has a right.
pub(crate) async fn may(session: &Session, right: &Right<'_>) -> Result<bool> {
    let attributes = ResourceAttributes {
        group: Some(causeway_crds::GROUP.to_owned()),
        resource: Some(right.resource.to_owned()),
        verb: Some(right.verb.to_owned()),
        namespace: right.namespace.map(str::to_owned),
        name: right.name.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(session.client.clone());
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

async fn may_read(session: &Session, namespace: Option<&str>) -> Result<bool> {
    may(session, &Right { verb: "list", resource: "incidents", namespace, name: None }).await
}

/// Namespaces whose Incidents the caller may list, in order; `None`: all. Who may list the Incidents of a namespace may
/// read its telemetry, which they quote.
pub(crate) async fn readable<'a>(console: &Console, session: &'a Session) -> Result<&'a Option<Vec<String>>> {
    session
        .readable
        .get_or_try_init(|| async {
            if may_read(session, None).await? {
                return Ok(None);
            }
            let mut candidates: BTreeSet<String> =
                console.insight(session).namespaces().await?.into_iter().collect();
            // Many callers may not list Namespaces; then those with telemetry are what can be asked about.
            let namespaces: Api<Namespace> = Api::all(session.client.clone());
            if let Ok(list) = namespaces.list_metadata(&ListParams::default()).await {
                candidates.extend(list.items.iter().map(kube::ResourceExt::name_any));
            }
            let reviews = stream::iter(candidates.into_iter().take(MAX_NAMESPACES)).map(|name| async move {
                let allowed = may_read(session, Some(&name)).await?;
                Ok::<_, Failure>(allowed.then_some(name))
            });
            let found: Vec<Option<String>> = reviews.buffered(AT_ONCE).try_collect().await?;
            Ok(Some(found.into_iter().flatten().collect()))
        })
        .await
}

/// On whose behalf, and how far, telemetry is read.
pub(crate) async fn caller(console: &Console, session: &Session) -> Result<Caller> {
    let namespaces = readable(console, session).await?.clone();
    Ok(Caller { user: session.user.to_string(), namespaces, byte_budget: console.byte_budget })
}
