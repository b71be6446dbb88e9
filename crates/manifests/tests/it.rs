//! Repositories as people have them, and what an edit does to each.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use causeway_manifests::change::{Change, ObjectId, steps};
use causeway_manifests::{Edited, Files, Refusal, edit};
use serde_json::{Value, json};

const WEB: &str = "\
# the web tier
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 3 # per zone
  template:
    spec:
      containers:
        - name: proxy
          image: r.io/proxy:1
        - name: web
          image: \"r.io/web:1.0\"
          resources:
            limits: {memory: 1024Mi, cpu: 0.5}
";

fn files(list: &[(&str, &str)]) -> Files {
    list.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn object(kind: &str, name: &str) -> ObjectId {
    let group = if kind == "ConfigMap" { "" } else { "apps" };
    ObjectId { group: group.into(), kind: kind.into(), namespace: "shop".into(), name: name.into() }
}

fn set(kind: &str, name: &str, path: &str, from: Value, to: Value) -> Change {
    Change { object: object(kind, name), release: None, path: steps(path), from, to, source: None }
}

fn replicas(from: i32, to: i32) -> Change {
    set("Deployment", "web", "/spec/replicas", json!(from), json!(to))
}

fn image(from: &str, to: &str) -> Change {
    set("Deployment", "web", "/spec/template/spec/containers/name=web/image", json!(from), json!(to))
}

/// The only changed file and the diff without the file's name.
fn one(edited: Edited) -> (String, String) {
    assert_eq!(edited.files.len(), 1, "{edited:?}");
    let (head, lines) = edited.diff.split_once('\n').unwrap();
    (head.to_owned(), lines.to_owned())
}

fn check(files: &Files, root: &str, change: Change, file: &str, diff: &str) {
    let edited = edit(files, root, std::slice::from_ref(&change))
        .unwrap_or_else(|error| panic!("{change:?}: {error}"));
    let back = Change { from: change.to.clone(), to: change.from.clone(), ..change };
    let mut after = files.clone();
    after.extend(edited.files.clone());
    assert_eq!(one(edited), (file.to_owned(), diff.to_owned()));
    let restored = edit(&after, root, &[back]).unwrap();
    assert_eq!(restored.files[file], files[file], "the way back is exact");
}

fn refused(files: &Files, root: &str, change: Change) -> (String, String) {
    let refusal: Refusal = edit(files, root, &[change]).unwrap_err();
    (refusal.category().to_owned(), refusal.to_string())
}

#[test]
fn plain_manifests() {
    let repository = files(&[
        ("apps/shop/web.yaml", WEB),
        (
            "apps/shop/rates.yaml",
            "kind: ConfigMap\napiVersion: v1\nmetadata: {name: rates, namespace: shop}\ndata:\n  NL: '0.21'\n  app.conf: |\n    a = 1\n    b = 2\n",
        ),
        ("apps/other/web.yaml", &WEB.replace("  name: web\nspec", "  name: web\n  namespace: other\nspec")),
        ("docs/web.txt", "web"),
    ]);
    check(
        &repository,
        "apps/shop",
        replicas(3, 6),
        "apps/shop/web.yaml",
        "-  replicas: 3 # per zone\n+  replicas: 6 # per zone\n",
    );
    check(
        &repository,
        "./apps/",
        image("r.io/web:1.0", "r.io/web:1.1"),
        "apps/shop/web.yaml",
        "-          image: \"r.io/web:1.0\"\n+          image: \"r.io/web:1.1\"\n",
    );
    check(
        &repository,
        "apps/shop",
        set("ConfigMap", "rates", "/data/NL", json!("0.21"), json!("0.09")),
        "apps/shop/rates.yaml",
        "-  NL: '0.21'\n+  NL: '0.09'\n",
    );
    check(
        &repository,
        "apps/shop",
        set("ConfigMap", "rates", "/data/app.conf", json!("a = 1\nb = 2\n"), json!("a = 1\nb = 3\n")),
        "apps/shop/rates.yaml",
        "-    b = 2\n+    b = 3\n",
    );
    // The API server writes amounts in its own way.
    let memory = set(
        "Deployment",
        "web",
        "/spec/template/spec/containers/name=web/resources/limits/memory",
        json!("1Gi"),
        json!("1536Mi"),
    );
    let edited = edit(&repository, "apps/shop", &[memory, replicas(3, 4)]).unwrap();
    assert_eq!(
        edited.diff,
        "apps/shop/web.yaml\n-  replicas: 3 # per zone\n+  replicas: 4 # per zone\n\
         -            limits: {memory: 1024Mi, cpu: 0.5}\n+            limits: {memory: 1536Mi, cpu: 0.5}\n"
    );
}

#[test]
fn plain_manifests_that_are_refused() {
    let twice = files(&[("a.yaml", WEB), ("b.yaml", &format!("---\n{WEB}"))]);
    let (category, message) = refused(&twice, "", replicas(3, 6));
    assert_eq!(category, "Ambiguous");
    assert_eq!(message, "Deployment/shop/web is declared in several places: a.yaml:2, b.yaml:3");
    let once = files(&[("a.yaml", WEB)]);
    assert_eq!(
        refused(&once, "", replicas(5, 6)),
        ("OtherValue".into(), "a.yaml:7 has 3, the plan was made on 5".into())
    );
    assert_eq!(
        refused(&once, "", set("Deployment", "web", "/spec/paused", json!(false), json!(true))),
        ("NotDeclared".into(), "a.yaml:2 declares Deployment/shop/web without /spec/paused".into())
    );
    assert_eq!(
        refused(&once, "apps", replicas(3, 6)),
        ("NotDeclared".into(), "nothing in apps declares Deployment/shop/web".into())
    );
    let shared = files(&[("a.yaml", &WEB.replace("replicas: 3", "replicas: &n 3"))]);
    let (category, message) = refused(&shared, "", replicas(3, 6));
    assert_eq!(category, "NotFollowed");
    assert!(message.starts_with("a.yaml:7 uses an anchor or an alias"), "{message}");
    let broken = files(&[("a.yaml", "web: [")]);
    assert_eq!(refused(&broken, "", replicas(3, 6)).0, "Unreadable");
    // Already there: nothing to do, and no refusal.
    assert!(edit(&once, "", &[replicas(2, 3)]).unwrap().files.is_empty());
}

fn layered(overlay: &str) -> Files {
    files(&[
        ("base/kustomization.yaml", "resources:\n- web.yaml\n"),
        ("base/web.yaml", WEB),
        ("prod/kustomization.yaml", overlay),
        (
            "prod/replicas.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 5\n",
        ),
        (
            "prod/ops.yaml",
            "- op: replace\n  path: /spec/template/spec/containers/1/image\n  value: r.io/web:2.0\n- op: test\n  path: /spec/replicas\n  value: 3\n",
        ),
    ])
}

#[test]
fn kustomize_layers() {
    let base = "resources: [../base]\n";
    let own = |more: &str| layered(&format!("{base}{more}"));
    check(
        &layered(base),
        "prod",
        replicas(3, 6),
        "base/web.yaml",
        "-  replicas: 3 # per zone\n+  replicas: 6 # per zone\n",
    );
    check(
        &own("replicas:\n- {name: web, count: 5}\n"),
        "prod",
        replicas(5, 6),
        "prod/kustomization.yaml",
        "-- {name: web, count: 5}\n+- {name: web, count: 6}\n",
    );
    for patches in ["patches:\n- path: replicas.yaml\n", "patchesStrategicMerge: [replicas.yaml]\n"] {
        check(
            &own(patches),
            "prod",
            replicas(5, 6),
            "prod/replicas.yaml",
            "-  replicas: 5\n+  replicas: 6\n",
        );
    }
    check(
        &own(
            "patches:\n- target: {kind: Deployment, name: w.*}\n  patch: |-\n    - op: replace\n      path: /spec/replicas\n      value: 5 # é\n",
        ),
        "prod",
        replicas(5, 6),
        "prod/kustomization.yaml",
        "-      value: 5 # é\n+      value: 6 # é\n",
    );
    check(
        &own(
            "patches:\n- patch: |\n    kind: Deployment\n    apiVersion: apps/v1\n    metadata: {name: web}\n    spec:\n\n      replicas: 5\n",
        ),
        "prod",
        replicas(5, 6),
        "prod/kustomization.yaml",
        "-      replicas: 5\n+      replicas: 6\n",
    );
    check(
        &own(
            "patchesJson6902:\n- path: ops.yaml\n  target: {group: apps, version: v1, kind: Deployment, name: web}\n",
        ),
        "prod",
        image("r.io/web:2.0", "r.io/web:2.1"),
        "prod/ops.yaml",
        "-  value: r.io/web:2.0\n+  value: r.io/web:2.1\n",
    );
    // A patch for something else changes nothing.
    check(
        &own("patches:\n- {path: replicas.yaml, target: {name: other}}\n"),
        "prod",
        replicas(3, 6),
        "base/web.yaml",
        "-  replicas: 3 # per zone\n+  replicas: 6 # per zone\n",
    );
    // What is set last wins, and names go inwards.
    check(
        &own(
            "namePrefix: eu-\nnameSuffix: -1\nnamespace: shop\nreplicas:\n- {name: web, count: 7}\npatches:\n- path: replicas.yaml\n",
        ),
        "prod",
        set("Deployment", "eu-web-1", "/spec/replicas", json!(7), json!(8)),
        "prod/kustomization.yaml",
        "-- {name: web, count: 7}\n+- {name: web, count: 8}\n",
    );
    let component = [
        ("base/kustomization.yaml", "resources:\n- web.yaml\n"),
        ("base/web.yaml", WEB),
        ("big/kustomization.yaml", "kind: Component\nreplicas:\n- name: web\n  count: 9\n"),
        ("prod/kustomization.yaml", "resources: [../base]\ncomponents: [../big]\n"),
    ];
    check(
        &files(&component),
        "prod",
        replicas(9, 12),
        "big/kustomization.yaml",
        "-  count: 9\n+  count: 12\n",
    );
}

#[test]
fn kustomize_images() {
    let own = |more: &str| layered(&format!("resources: [../base]\nimages:\n{more}"));
    let line = "prod/kustomization.yaml";
    check(
        &own("- name: r.io/web\n  newTag: \"1.5\"\n"),
        "prod",
        image("r.io/web:1.5", "r.io/web:1.6"),
        line,
        "-  newTag: \"1.5\"\n+  newTag: \"1.6\"\n",
    );
    check(
        &own("- name: r.io/web\n  newTag: v1\n"),
        "prod",
        image("r.io/web:v1", "r.io/web:v2"),
        line,
        "-  newTag: v1\n+  newTag: v2\n",
    );
    check(
        &own("- name: r.io/web\n  newName: eu.r.io/web\n  newTag: v1\n"),
        "prod",
        image("eu.r.io/web:v1", "us.r.io/web:v1"),
        line,
        "-  newName: eu.r.io/web\n+  newName: us.r.io/web\n",
    );
    check(
        &own("- name: r.io/web\n  digest: sha256:aa\n"),
        "prod",
        image("r.io/web@sha256:aa", "r.io/web@sha256:bb"),
        line,
        "-  digest: sha256:aa\n+  digest: sha256:bb\n",
    );
    // Only the name is set here: the tag comes from the base.
    check(
        &own("- name: r.io/web\n  newName: eu/web\n"),
        "prod",
        image("eu/web:1.0", "eu/web:1.1"),
        "base/web.yaml",
        "-          image: \"r.io/web:1.0\"\n+          image: \"r.io/web:1.1\"\n",
    );
    let digest = own("- name: r.io/web\n  newTag: v1\n");
    let (category, message) = refused(&digest, "prod", image("r.io/web:v1", "r.io/web@sha256:aa"));
    assert_eq!(
        (category.as_str(), message.as_str()),
        (
            "NotFollowed",
            "prod/kustomization.yaml:4 would have to switch between tag and digest: change it by hand"
        )
    );
    // A tag that YAML would read as a number gets quotes.
    let edited =
        edit(&own("- name: r.io/web\n  newTag: v1\n"), "prod", &[image("r.io/web:v1", "r.io/web:1.10")])
            .unwrap();
    assert_eq!(one(edited).1, "-  newTag: v1\n+  newTag: \"1.10\"\n");
}

#[test]
fn kustomize_generators() {
    let rates = |name: &str| set("ConfigMap", name, "/data/NL", json!("0.21"), json!("0.09"));
    let generator = |options: &str| {
        files(&[(
            "prod/kustomization.yaml",
            &format!("{options}configMapGenerator:\n- name: rates\n  literals:\n  - BE=0.21\n  - NL=0.21\n"),
        )])
    };
    let fixed = generator("generatorOptions: {disableNameSuffixHash: true}\n");
    check(&fixed, "prod", rates("rates"), "prod/kustomization.yaml", "-  - NL=0.21\n+  - NL=0.09\n");
    assert!(edit(&fixed, "prod", &[rates("rates")]).unwrap().renamed.is_empty());
    let hashed = edit(&generator(""), "prod", &[rates("rates-5f8k2h9d4t")]).unwrap();
    assert_eq!(hashed.renamed.into_iter().collect::<Vec<_>>(), ["ConfigMap/shop/rates-5f8k2h9d4t"]);
    let from_file =
        files(&[("prod/kustomization.yaml", "configMapGenerator:\n- name: rates\n  files: [NL]\n")]);
    let (category, message) = refused(&from_file, "prod", rates("rates"));
    assert_eq!(category, "NotFollowed");
    assert!(message.starts_with("prod/kustomization.yaml:3 takes /data/NL from other files"), "{message}");
}

#[test]
fn kustomize_that_is_refused() {
    let base = "resources: [../base]\n";
    let own = |more: &str| layered(&format!("{base}{more}"));
    for (overlay, category, begins) in [
        ("replacements:\n- source: {}\n", "NotFollowed", "prod/kustomization.yaml:3 uses replacements"),
        (
            "patches:\n- {path: gone.yaml}\n",
            "NotFollowed",
            "prod/kustomization.yaml:3 names a patch that is not in the repository",
        ),
        (
            "patches:\n- {path: replicas.yaml, target: {labelSelector: a=b}}\n",
            "NotFollowed",
            "prod/kustomization.yaml:3 selects its objects by labels",
        ),
        (
            "patches:\n- target: {kind: Deployment}\n  patch: '[{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":3}]'\n",
            "NotFollowed",
            "prod/kustomization.yaml:4 stands in a text that is quoted",
        ),
        (
            "patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: remove, path: /spec/replicas}\n",
            "NotFollowed",
            "prod/kustomization.yaml:5 takes /spec/replicas away",
        ),
        (
            "patches:\n- patch: |-\n    {kind: Deployment, apiVersion: apps/v1, metadata: {name: web}, spec: {$patch: replace, replicas: 3}}\n",
            "NotFollowed",
            "prod/kustomization.yaml:4 uses a $patch",
        ),
    ] {
        let (found, message) = refused(&own(overlay), "prod", replicas(3, 6));
        assert_eq!(found, category, "{overlay}: {message}");
        assert!(message.starts_with(begins), "{overlay}: {message}");
    }
    let shifted = own(
        "patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: add, path: /spec/template/spec/containers/0, value: {}}\n",
    );
    assert_eq!(refused(&shifted, "prod", image("r.io/web:1.0", "r.io/web:2")).0, "NotFollowed");
}

#[test]
fn a_base_that_others_use_is_not_edited() {
    let mut repository = layered("resources: [../base]\n");
    repository.insert("staging/kustomization.yaml".into(), "resources: [../base]\n".into());
    let (category, message) = refused(&repository, "prod", replicas(3, 6));
    assert_eq!(category, "Shared");
    assert!(
        message.starts_with("base/web.yaml:7 is used elsewhere, too (staging): set the value in a layer"),
        "{message}"
    );
    // Its own layer is its own.
    repository.insert(
        "prod/kustomization.yaml".into(),
        "resources: [../base]\nreplicas: [{name: web, count: 4}]\n".into(),
    );
    assert!(edit(&repository, "prod", &[replicas(4, 6)]).is_ok());
    // Who takes prod as a whole is not somebody else.
    let mut above = layered("resources: [../base]\n");
    above.insert("clusters/eu/kustomization.yaml".into(), "resources: [../../prod]\n".into());
    assert!(edit(&above, "prod", &[replicas(3, 6)]).is_ok());
    above.insert("clusters/us/kustomization.yaml".into(), "resources: [../../base]\n".into());
    assert_eq!(refused(&above, "prod", replicas(3, 6)).0, "Shared");
}

#[test]
fn helm_values() {
    let release = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: web\nspec:\n  values:\n    replicaCount: 3\n    image:\n      repository: r.io/web\n      tag: \"1.0\"\n    cache:\n      replicaCount: 1\n";
    let of = |change: Change| Change { release: Some("web".into()), ..change };
    let repository = files(&[("apps/web.yaml", release)]);
    check(
        &repository,
        "apps",
        of(replicas(3, 6)),
        "apps/web.yaml",
        "-    replicaCount: 3\n+    replicaCount: 6\n",
    );
    check(
        &repository,
        "apps",
        of(image("r.io/web:1.0", "r.io/web:1.1")),
        "apps/web.yaml",
        "-      tag: \"1.0\"\n+      tag: \"1.1\"\n",
    );
    let same = files(&[("apps/web.yaml", &release.replace("replicaCount: 1", "replicaCount: 3"))]);
    let (category, message) = refused(&same, "apps", of(replicas(3, 6)));
    assert_eq!(category, "Ambiguous");
    assert!(
        message.ends_with("apps/web.yaml:7, apps/web.yaml:12")
            && message.contains("causeway.dev/value-source"),
        "{message}"
    );
    let named = |source: &str| Change { source: Some(source.into()), ..of(replicas(3, 6)) };
    check(
        &same,
        "apps",
        named("apps/web.yaml:/spec/values/cache/replicaCount"),
        "apps/web.yaml",
        "-      replicaCount: 3\n+      replicaCount: 6\n",
    );
    assert_eq!(refused(&same, "apps", named("apps/web.yaml:/spec/values/x")).0, "NotDeclared");
    let tag = Change {
        source: Some("apps/web.yaml:/spec/values/image/tag".into()),
        ..image("r.io/web:1.0", "r.io/web:1.1")
    };
    check(&repository, "apps", tag, "apps/web.yaml", "-      tag: \"1.0\"\n+      tag: \"1.1\"\n");
    let (category, message) = refused(&repository, "apps", of(replicas(4, 6)));
    assert_eq!(category, "NotDeclared");
    assert!(
        message.starts_with("no value in apps/web.yaml:1 is called like /spec/replicas and has 4"),
        "{message}"
    );
    // An Argo application with a values file beside it.
    let values = files(&[
        ("apps/values.yaml", "# sizes\nweb:\n  replicaCount: 3\n"),
        ("apps/charts/web/values.yaml", "replicaCount: 3\n"),
    ]);
    check(&values, "apps", replicas(3, 6), "apps/values.yaml", "-  replicaCount: 3\n+  replicaCount: 6\n");
}
