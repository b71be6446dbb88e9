//! Decisions of people, written in their own name: Approvals and Pauses. Whether they count, the API server and the
//! executor decide.

use causeway_crds::approval::PlanRef;
use causeway_crds::{Approval, ApprovalDecision, ApprovalSpec, Pause, PauseSpec, Remediation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde::{Deserialize, Serialize};

use crate::access::{Right, may};
use crate::failure::{Failure, Result};
use crate::objects::{checked_name, get, text};
use crate::session::Session;

/// A decision about a plan, with the digests of what was shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Decided {
    pub(crate) decision: ApprovalDecision,
    pub(crate) plan_digest: String,
    #[serde(default)]
    pub(crate) dry_run_digest: String,
    #[serde(default)]
    pub(crate) comment: String,
}

/// Whether the caller may decide about a Remediation: both rights are needed.
pub(crate) async fn may_decide(session: &Session, namespace: &str, name: &str) -> Result<bool> {
    let approve =
        Right { verb: "approve", resource: "remediations", namespace: Some(namespace), name: Some(name) };
    let create = Right { verb: "create", resource: "approvals", namespace: Some(namespace), name: None };
    Ok(may(session, &approve).await? && may(session, &create).await?)
}

/// Writes the Approval. A plan that is no longer the one that was shown is refused here, because the executor would only
/// pass over the Approval.
pub(crate) async fn decide(
    session: &Session,
    namespace: &str,
    name: &str,
    decided: Decided,
) -> Result<Approval> {
    let remediation = get::<Remediation>(session, namespace, name).await?;
    let Decided { decision, plan_digest, dry_run_digest, comment } = decided;
    let is_new = plan_digest != text(&remediation, "/spec/planDigest")
        || decision == ApprovalDecision::Approve
            && dry_run_digest != text(&remediation, "/status/dryRun/digest");
    if is_new {
        return Err(Failure::conflict(
            "the plan, or what it would change, is not what you were shown: look at it again, then decide",
        ));
    }
    let comment = comment.trim();
    let approval = Approval {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", name.get(..200).unwrap_or(name))),
            ..ObjectMeta::default()
        },
        spec: ApprovalSpec {
            remediation_ref: PlanRef { name: name.to_owned(), plan_digest },
            decision,
            approver: session.user.to_string(),
            dry_run_digest: Some(dry_run_digest).filter(|digest| !digest.is_empty()),
            expires_at: None,
            comment: Some(comment.to_owned()).filter(|comment| !comment.is_empty()),
        },
        status: None,
    };
    let api: Api<Approval> = Api::namespaced(session.client.clone(), namespace);
    Ok(api.create(&PostParams::default(), &approval).await?)
}

/// What a Pause is to say.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct PauseRequest {
    #[serde(default)]
    pub(crate) reason: String,
    /// Empty: all.
    #[serde(default)]
    pub(crate) namespaces: Vec<String>,
}

/// Stops all repairs, or those of some namespaces.
pub(crate) async fn pause(session: &Session, request: PauseRequest) -> Result<Pause> {
    for namespace in &request.namespaces {
        checked_name(namespace)?;
    }
    let reason = request.reason.trim();
    let pause = Pause {
        metadata: ObjectMeta { generate_name: Some("pause-".to_owned()), ..ObjectMeta::default() },
        spec: PauseSpec {
            namespaces: request.namespaces,
            by: Some(session.user.to_string()),
            reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
        },
        status: None,
    };
    let api: Api<Pause> = Api::all(session.client.clone());
    Ok(api.create(&PostParams::default(), &pause).await?)
}

/// Takes a Pause away.
pub(crate) async fn resume(session: &Session, name: &str) -> Result<()> {
    checked_name(name)?;
    let api: Api<Pause> = Api::all(session.client.clone());
    api.delete(name, &DeleteParams::default()).await?;
    Ok(())
}
