//! What the suite is put to.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::support::{eventually, from};
use crate::fixture::{boat_crd, boat_kind, boats, cluster};

/// An API server that serves the definition of the fixture.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) client: Client,
    /// Whether controllers run: they make service accounts, and write into status.
    pub(crate) real: bool,
    /// Whether the cluster belongs to somebody, so that nothing may stay.
    lent: bool,
}

const LABEL: &str = "test.dev/conformance";

impl Target {
    pub(crate) fn local() -> Self {
        Self { name: "localcluster", client: cluster().client("admin"), real: false, lent: false }
    }

    /// The real API server, if there is one; if not, the output says so, past the capture of the test's output.
    pub(crate) async fn real() -> Option<Self> {
        let Some(folder) = std::env::var_os("CAUSEWAY_CLUSTER").map(PathBuf::from) else {
            let text = "not run: conformance of a real API server; CAUSEWAY_CLUSTER is not set (`cargo xtask test` sets it)\n";
            std::io::stderr().write_all(text.as_bytes()).unwrap();
            return None;
        };
        let record = std::fs::read_to_string(folder.join("cluster.json")).unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        let kubeconfig = Path::new(record["kubeconfig"].as_str().unwrap());
        let config = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
        let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let lent = record["parts"].as_array().is_none_or(Vec::is_empty);
        let target = Self { name: "API server", client, real: true, lent };
        target.install().await;
        Some(target)
    }

    async fn install(&self) {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let mut definition = boat_crd();
        match definitions.get_opt(&definition.name_any()).await.unwrap() {
            None => drop(definitions.create(&PostParams::default(), &definition).await.unwrap()),
            Some(before) => {
                definition.metadata.resource_version = before.metadata.resource_version;
                definitions
                    .replace(&definition.name_any(), &PostParams::default(), &definition)
                    .await
                    .unwrap();
            }
        }
        eventually(|| async {
            let served = self.client.list_api_group_resources("test.dev/v1").await;
            served.is_ok_and(|list| list.resources.len() == 3)
        })
        .await;
    }

    /// A namespace of its own for one behaviour.
    pub(crate) async fn namespace(&self) -> String {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let object = json!({ "metadata": { "generateName": "case-", "labels": { LABEL: "" } } });
        let name = namespaces.create(&PostParams::default(), &from(object)).await.unwrap().name_any();
        if self.real {
            let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &name);
            eventually(|| async { accounts.get_opt("default").await.unwrap().is_some() }).await;
        }
        name
    }

    /// Removes everything from a cluster that is not thrown away.
    pub(crate) async fn leave(&self) {
        if !self.lent {
            return;
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        for namespace in namespaces.list_metadata(&ListParams::default().labels(LABEL)).await.unwrap() {
            namespaces.delete(&namespace.name_any(), &DeleteParams::default()).await.unwrap();
        }
        // Some behaviours leave objects that a finalizer holds.
        let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        let all: Api<DynamicObject> = Api::all_with(self.client.clone(), &boat_kind());
        for boat in all.list(&ListParams::default()).await.unwrap() {
            let boats = boats(&self.client, &boat.namespace().unwrap());
            boats.patch(&boat.name_any(), &PatchParams::default(), &free).await.unwrap();
        }
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        definitions.delete("boats.test.dev", &DeleteParams::default()).await.unwrap();
    }
}
