//! Every definition, and the files they are committed in.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::{
    Approval, Baseline, ClusterGuardrail, Incident, LogSource, MonitoredService, NotificationTarget, Pause,
    PeakEvent, Remediation, RemediationPolicy, Runbook, SLO,
};

/// The definitions of all kinds, authored kinds first.
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    vec![
        LogSource::crd(),
        MonitoredService::crd(),
        Baseline::crd(),
        SLO::crd(),
        Runbook::crd(),
        RemediationPolicy::crd(),
        ClusterGuardrail::crd(),
        Pause::crd(),
        PeakEvent::crd(),
        NotificationTarget::crd(),
        Incident::crd(),
        Remediation::crd(),
        Approval::crd(),
    ]
}

/// Why a definition could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {name} as YAML")]
pub struct YamlError {
    name: String,
    source: serde_saphyr::ser::Error,
}

/// File name (`<plural>.yaml`) and content of every definition, as committed under `crds/yaml`.
///
/// # Errors
/// A definition that has no YAML form; a test holds that none is.
pub fn yaml_files() -> Result<Vec<(String, String)>, YamlError> {
    all_crds()
        .into_iter()
        .map(|crd| {
            let name = format!("{}.yaml", crd.spec.names.plural);
            match serde_saphyr::to_string(&crd) {
                Ok(text) => Ok((name, text)),
                Err(source) => Err(YamlError { name, source }),
            }
        })
        .collect()
}
