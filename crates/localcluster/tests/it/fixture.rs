//! A custom resource with everything the server supports, and clusters that serve it.

use causeway_localcluster::{LocalCluster, Options};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

/// Definition of `boats.test.dev`: defaults, bounds, CEL rules, a keyed list, columns, status and scale.
pub(crate) fn boat_crd() -> CustomResourceDefinition {
    let spec = json!({
        "type": "object",
        "required": ["hull"],
        "description": "What the boat should be.",
        "x-kubernetes-validations": [
            { "rule": "!has(self.sails) || self.sails <= self.crew", "message": "every sail needs a hand" },
            { "rule": "self.hull == oldSelf.hull", "message": "hull is immutable", "fieldPath": ".hull" },
        ],
        "properties": {
            "hull": { "type": "string", "enum": ["wood", "steel"], "description": "Material of the hull." },
            "crew": { "type": "integer", "format": "int32", "minimum": 0, "maximum": 100, "default": 2 },
            "sails": { "type": "integer", "minimum": 0 },
            "name": { "type": "string", "maxLength": 10, "pattern": "^[A-Z]" },
            "launched": { "type": "string", "format": "date-time" },
            "cargo": { "type": "array", "maxItems": 5, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                "items": { "type": "object", "required": ["id"], "properties": {
                    "id": { "type": "string" }, "weight": { "type": "integer", "default": 1 } } } },
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "flags": { "type": "object", "additionalProperties": { "type": "string" } },
        },
    });
    let status = json!({
        "type": "object",
        "description": "Where the boat is.",
        "properties": {
            "phase": { "type": "string" },
            "crew": { "type": "integer" },
            "selector": { "type": "string" },
            "conditions": { "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                "items": { "type": "object", "required": ["type", "status"], "properties": {
                    "type": { "type": "string" }, "status": { "type": "string" }, "reason": { "type": "string" },
                    "message": { "type": "string" }, "lastTransitionTime": { "type": "string", "format": "date-time" },
                    "observedGeneration": { "type": "integer" } } } },
        },
    });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "boats.test.dev" },
        "spec": {
            "group": "test.dev",
            "scope": "Namespaced",
            "names": { "plural": "boats", "singular": "boat", "kind": "Boat", "shortNames": ["bt"], "categories": ["fleet"] },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": { "status": {}, "scale": { "specReplicasPath": ".spec.crew", "statusReplicasPath": ".status.crew", "labelSelectorPath": ".status.selector" } },
                "selectableFields": [{ "jsonPath": ".spec.hull" }],
                "additionalPrinterColumns": [
                    { "name": "Hull", "type": "string", "jsonPath": ".spec.hull" },
                    { "name": "Crew", "type": "integer", "jsonPath": ".spec.crew" },
                    { "name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status" },
                    { "name": "Phase", "type": "string", "jsonPath": ".status.phase", "priority": 1 },
                    { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
                ],
                "schema": { "openAPIV3Schema": { "type": "object", "description": "A boat.", "required": ["spec"],
                    "properties": { "spec": spec, "status": status } } },
            }],
        },
    });
    serde_json::from_value(definition).unwrap()
}

pub(crate) fn cluster() -> LocalCluster {
    LocalCluster::open(Options { crds: vec![boat_crd()], ..Options::default() }).unwrap()
}

pub(crate) fn boat_kind() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("test.dev", "v1", "Boat"))
}

pub(crate) fn boats(client: &kube::Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &boat_kind())
}

pub(crate) fn boat(name: &str, spec: Value) -> DynamicObject {
    let object =
        json!({ "apiVersion": "test.dev/v1", "kind": "Boat", "metadata": { "name": name }, "spec": spec });
    serde_json::from_value(object).unwrap()
}
