//! Custom resource types, their CEL rules, condition types and reasons.
//!
//! Intent stands in `spec` and is written by people and Git; facts stand in `status` and are written by one controller.
//! Unions are `type` and the member of that name. Numbers that are not whole are decimal strings. Secrets are named, never
//! contained. [`all_crds`] returns every definition, [`yaml_files`] the files that are committed under `crds/yaml`.

#![expect(clippy::duplicated_attributes, reason = "every printer column names its type")]
#![expect(unreachable_pub, reason = "the KubeSchema derive repeats each struct inside of a function")]

pub mod admission;
pub mod approval;
pub mod baseline;
pub mod cause;
pub mod cluster_guardrail;
pub mod condition;
pub mod convert;
pub mod definitions;
pub mod escalation;
pub mod impact;
pub mod incident;
pub mod log_source;
pub mod monitored_service;
pub mod notification_target;
pub mod occurrence;
pub mod pause;
pub mod peak_event;
pub mod reason;
pub mod reference;
pub mod remediation;
pub mod remediation_policy;
pub mod runbook;
mod series;
pub mod slo;
pub mod step;
pub mod view;

pub use approval::{Approval, ApprovalSpec, ApprovalStatus};
pub use baseline::{Baseline, BaselineSpec, BaselineStatus};
pub use cause::CauseKind;
pub use cluster_guardrail::{ClusterGuardrail, ClusterGuardrailSpec, ClusterGuardrailStatus};
pub use condition::ConditionType;
pub use definitions::{all_crds, yaml_files};
pub use incident::{Incident, IncidentSpec, IncidentStatus};
pub use log_source::{LogSource, LogSourceSpec, LogSourceStatus};
pub use monitored_service::{MonitoredService, MonitoredServiceSpec, MonitoredServiceStatus};
pub use notification_target::{NotificationTarget, NotificationTargetSpec, NotificationTargetStatus};
pub use pause::{Pause, PauseSpec, PauseStatus};
pub use peak_event::{PeakEvent, PeakEventSpec, PeakEventStatus};
pub use reason::Reason;
pub use remediation::{Remediation, RemediationSpec, RemediationStatus};
pub use remediation_policy::{RemediationPolicy, RemediationPolicySpec, RemediationPolicyStatus};
pub use runbook::{Runbook, RunbookSpec, RunbookStatus};
pub use slo::{SLO, SLOSpec, SLOStatus};

pub use causeway_actions::{
    ActionKind, ActionSpec, Decimal, Inverse, Mutation, Risk, SecretKeyRef, TargetRef,
};
pub use causeway_remediate::{
    ApprovalDecision, Autonomy, DurationText, FreezeMode, Outcome, Phase, SymptomState, Via,
};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The API group of every kind.
pub const GROUP: &str = "causeway.dev";
/// The version of every kind.
pub const VERSION: &str = "v1alpha1";
