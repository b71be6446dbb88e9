//! One suite, two targets: what a Kubernetes API server does, put to this crate's server always, and to a real API
//! server when `CAUSEWAY_CLUSTER` names a folder with the `cluster.json` of one. So an expectation that the real one
//! does not meet fails too.
//!
//! - [`BEHAVIOURS`]: functions of a client and a namespace, for what takes several answers or a while.
//! - [`exchanges`]: requests with the whole answers that the real API server gave.

mod apply;
mod builtin;
mod create;
mod delete;
mod differences;
mod exchanges;
mod normal;
mod read;
mod support;
mod target;
mod update;

use std::pin::Pin;
use std::time::Duration;

use futures::{StreamExt, stream};
use kube::Client;

use self::target::Target;

type Outcome = Pin<Box<dyn Future<Output = ()> + Send>>;
type Behaviour = (&'static str, fn(Client, String) -> Outcome);

macro_rules! behaviours {
    ($($topic:ident: $($name:ident),+;)*) => {
        const BEHAVIOURS: &[Behaviour] =
            &[$($((concat!(stringify!($topic), "/", stringify!($name)), |client, ns| Box::pin($topic::$name(client, ns)))),+),*];
    };
}

behaviours!(
    create:
        create_sets_identity_and_defaults,
        create_twice_is_already_exists,
        create_in_a_missing_namespace_is_not_found,
        generate_name_appends_a_suffix,
        names_and_labels_are_validated,
        unknown_fields_are_pruned_or_refused,
        schema_violations_are_invalid_with_causes,
        cel_rules_refuse_creation_and_transition,
        dry_run_stores_nothing;
    update:
        replace_with_an_old_version_is_a_conflict,
        replace_without_change_keeps_the_version,
        generation_counts_spec_only,
        status_and_spec_do_not_touch_each_other,
        json_patch_tests_hold,
        merge_patch_removes_with_null,
        strategic_patch_merges_containers_by_name,
        strategic_patch_of_a_custom_resource_is_unsupported,
        scale_reads_and_writes_replicas;
    apply:
        apply_creates_merges_and_removes,
        apply_conflicts_unless_forced,
        updates_are_recorded_per_manager;
    delete:
        finalizers_delay_deletion,
        preconditions_guard_deletion,
        owners_take_dependents_along,
        orphans_survive,
        foreground_deletion_waits,
        deleting_a_namespace_deletes_its_content,
        delete_collection_selects;
    read:
        lists_select_by_label_and_field,
        lists_page_with_limit_and_continue,
        watch_resumes_after_a_version,
        watch_follows_selectors,
        watch_of_the_distant_past_is_gone,
        watch_streams_the_initial_list;
    builtin:
        secrets_take_string_data,
        immutable_config_maps_stay,
        deployment_gets_defaults_and_keeps_its_selector,
        events_are_one_store_under_two_groups,
        unknown_resources_are_not_found,
        definitions_are_listed_and_discovered;
);

#[tokio::test]
async fn localcluster_conforms() {
    conforms(&Target::local()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_conforms() {
    if let Some(target) = Target::real().await {
        conforms(&target).await;
        target.leave().await;
    }
}

/// Runs the whole table; every failure is told, not only the first.
async fn conforms(target: &Target) {
    let exchanges = exchanges::load();
    let behaviours = stream::iter(BEHAVIOURS.iter().copied()).map(|(name, behaviour)| async move {
        let namespace = target.namespace().await;
        let run = tokio::spawn(tokio::time::timeout(
            Duration::from_secs(60),
            behaviour(target.client.clone(), namespace),
        ));
        match run.await {
            Ok(Ok(())) => None,
            Ok(Err(_)) => Some(format!("{name}: no answer within 60 s")),
            Err(error) => Some(format!("{name}: {error}")),
        }
    });
    let mut failed: Vec<String> =
        behaviours.buffer_unordered(4).filter_map(|failure| async { failure }).collect().await;
    failed.extend(exchanges::run(target, &exchanges).await);
    failed.sort();
    assert!(
        failed.is_empty(),
        "{}: {} of {} behaviours failed:\n{}",
        target.name,
        failed.len(),
        BEHAVIOURS.len() + exchanges.len(),
        failed.join("\n")
    );
}
