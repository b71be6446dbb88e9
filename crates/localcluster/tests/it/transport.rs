//! HTTP on loopback: who may enter, what malformed requests are told, and in-process rules.

use std::sync::Arc;

use causeway_localcluster::{Denied, LocalCluster, Options, Review, User, Verb};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fixture::{boat, boat_crd, boats, cluster};

/// A served cluster; it stops when the value is dropped.
pub(crate) struct Served {
    pub(crate) cluster: LocalCluster,
    pub(crate) url: String,
    pub(crate) _stop: tokio::sync::oneshot::Sender<()>,
}

pub(crate) async fn serve(cluster: LocalCluster) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = cluster.clone();
    tokio::spawn(async move { server.serve(listener, async { drop(stopped.await) }).await });
    Served { cluster, url, _stop: stop }
}

async fn ask(
    served: &Served,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, Value) {
    let client: Client<_, Full<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request = http::Request::builder().method(method).uri(format!("{}{path}", served.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response =
        client.request(request.body(Full::new(bytes::Bytes::copy_from_slice(body))).unwrap()).await.unwrap();
    let code = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (
        code,
        serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into()),
    )
}

/// Method, path, headers, body, expected code, part of the expected message.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

#[tokio::test]
async fn malformed_requests_get_a_status() {
    let served = serve(cluster()).await;
    let bearer = format!("Bearer {}", served.cluster.token("admin").unwrap());
    let auth = ("authorization", bearer.as_str());
    let json = ("content-type", "application/json");
    let boats = "/apis/test.dev/v1/namespaces/default/boats";
    let large = vec![b' '; 4 * 1024 * 1024];
    let cases: &[Case<'_>] = &[
        ("GET", boats, &[], b"", 401, "Unauthorized"),
        ("GET", boats, &[("authorization", "Bearer wrong")], b"", 401, "Unauthorized"),
        ("GET", boats, &[auth, ("impersonate-user", "other")], b"", 403, "cannot impersonate"),
        (
            "GET",
            boats,
            &[auth, ("accept", "application/vnd.kubernetes.protobuf")],
            b"",
            406,
            "are accepted: application/json",
        ),
        ("GET", "/nothing", &[auth], b"", 404, "404 page not found"),
        ("GET", &format!("{boats}/none"), &[auth], b"", 404, "boats.test.dev \"none\" not found"),
        ("GET", &format!("{boats}?labelSelector=a%20b"), &[auth], b"", 400, "unable to parse requirement"),
        (
            "GET",
            &format!("{boats}?watch=1&resourceVersion=99999999"),
            &[auth],
            b"",
            504,
            "Too large resource version",
        ),
        ("POST", boats, &[auth, json], b"{ not json", 400, "error parsing JSON"),
        ("POST", boats, &[auth, json], b"[]", 400, "one object"),
        ("POST", boats, &[auth, ("content-type", "application/yaml")], b"a: [b", 400, "error parsing YAML"),
        (
            "POST",
            boats,
            &[auth, json],
            b"{\"apiVersion\":\"test.dev/v1\",\"kind\":\"Ship\"}",
            422,
            "kind: Invalid value: \"Ship\": must be Boat",
        ),
        (
            "POST",
            boats,
            &[auth, json],
            b"{\"apiVersion\":\"test.dev/v1\",\"kind\":\"Boat\",\"metadata\":{\"name\":\"a\",\"namespace\":\"other\"}}",
            400,
            "does not match the namespace",
        ),
        ("POST", boats, &[auth, json], &large, 413, "larger than"),
        (
            "POST",
            boats,
            &[auth, ("content-type", "application/vnd.kubernetes.protobuf")],
            b"k8s",
            415,
            "accepted media types include: application/json, application/yaml",
        ),
        ("PUT", boats, &[auth, json], b"{}", 400, "name must be provided"),
        (
            "GET",
            "/api/v1/namespaces/default/pods/p/log",
            &[auth],
            b"",
            501,
            "pods/log is not part of this local API server",
        ),
        ("GET", "/apis/batch/v1/namespaces/default/cronjobs", &[auth], b"", 404, "404 page not found"),
        ("GET", "/openapi/v2", &[auth], b"", 501, "OpenAPI v2"),
    ];
    for (method, path, headers, body, code, text) in cases {
        let (status, answer) = ask(&served, method, path, headers, body).await;
        assert_eq!(status, *code, "{method} {path}: {answer}");
        if let Some(plain) = answer.as_str() {
            assert!(plain.contains(text), "{method} {path}: {plain}");
            continue;
        }
        assert_eq!((&answer["kind"], &answer["code"]), (&json!("Status"), &json!(*code)), "{method} {path}");
        assert!(answer["message"].as_str().unwrap().contains(text), "{method} {path}: {}", answer["message"]);
    }
    for open in ["/healthz", "/readyz", "/version"] {
        assert_eq!(ask(&served, "GET", open, &[], b"").await.0, 200, "{open}");
    }
    let yaml = b"apiVersion: test.dev/v1\nkind: Boat\nmetadata: {name: yaml}\nspec: {hull: wood}\n";
    let (status, made) =
        ask(&served, "POST", boats, &[auth, ("content-type", "application/yaml")], yaml).await;
    assert_eq!((status, &made["spec"]["crew"]), (201, &json!(2)));
}

#[tokio::test]
async fn the_kubeconfig_is_private_and_works() {
    let served = serve(cluster()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    served.cluster.write_kubeconfig(&path, &served.url).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let config = kube::config::Kubeconfig::read_from(&path).unwrap();
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let api = boats(&client, "default");
    api.create(&PostParams::default(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    assert_eq!(api.get("a").await.unwrap().data["spec"]["crew"], 2);
}

#[tokio::test]
async fn admission_rules_see_user_object_and_old() {
    let rule = |review: &Review<'_>| -> Result<(), Denied> {
        let crew =
            |object: Option<&Value>| object.and_then(|o| o.pointer("/spec/crew")).and_then(Value::as_i64);
        let fired = match review.verb {
            Verb::Create => review.user.name == "guest",
            Verb::Update => crew(review.object) < crew(review.old) && review.subresource.is_none(),
            Verb::Delete => review.old.is_some() && review.user.impersonated_by.is_none(),
        };
        if review.resource == "boats" && fired {
            let message = format!("{} may not {:?} {}", review.user.name, review.verb, review.name);
            return Err(Denied { policy: "boats".into(), message });
        }
        Ok(())
    };
    let users = vec![User { may_impersonate: vec!["captain".into()], ..User::new("admin") }];
    let options =
        Options { crds: vec![boat_crd()], admission: vec![Arc::new(rule)], users, ..Options::default() };
    let cluster = LocalCluster::open(options).unwrap();
    let guest = boats(&cluster.client("guest"), "default");
    let refused =
        guest.create(&PostParams::default(), &boat("a", json!({ "hull": "wood" }))).await.unwrap_err();
    let kube::Error::Api(status) = refused else { panic!("{refused}") };
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert_eq!(
        status.message,
        "boats.test.dev \"a\" is forbidden: ValidatingAdmissionPolicy 'boats' denied request: guest may not Create a"
    );

    let admin = boats(&cluster.client("admin"), "default");
    admin.create(&PostParams::default(), &boat("a", json!({ "hull": "wood" }))).await.unwrap();
    let crew = |n: i64| Patch::Merge(json!({ "spec": { "crew": n } }));
    admin.patch("a", &PatchParams::default(), &crew(5)).await.unwrap();
    assert!(admin.patch("a", &PatchParams::default(), &crew(1)).await.is_err());
    assert!(
        admin.patch("a", &PatchParams { dry_run: true, ..PatchParams::default() }, &crew(1)).await.is_err()
    );
    assert!(admin.delete("a", &DeleteParams::default()).await.is_err());

    let served = serve(cluster).await;
    let bearer = format!("Bearer {}", served.cluster.token("admin").unwrap());
    let headers = [("authorization", bearer.as_str()), ("impersonate-user", "captain")];
    let (code, answer) =
        ask(&served, "DELETE", "/apis/test.dev/v1/namespaces/default/boats/a", &headers, b"").await;
    assert_eq!((code, &answer["status"]), (200, &json!("Success")));
}
