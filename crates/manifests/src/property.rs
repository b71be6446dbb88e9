//! Properties of edits over many texts: one value changes, every other byte stays, and the way back is exact.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::change::{Change, ObjectId, steps};
use crate::declared::Files;
use crate::document::{Node, parse};
use crate::edit::{differences, edit};

fn object(name: &str) -> ObjectId {
    ObjectId { group: "apps".into(), kind: "Deployment".into(), namespace: "shop".into(), name: name.into() }
}

fn change(path: &str, from: Value, to: Value) -> Change {
    Change { object: object("web"), release: None, path: steps(path), from, to, source: None }
}

/// Text as people write it, with what is hard on editors: comments, odd indentation, tabs in comments, other scripts.
fn comment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("# replicas: 3".to_owned()),
        Just("#\ttabs é 数".to_owned()),
        "[ -~]{0,12}".prop_map(|text| format!("# {text}")),
    ]
}

fn quoted(value: &str, style: usize) -> String {
    match style {
        0 => value.to_owned(),
        1 => format!("'{value}'"),
        _ => format!("\"{value}\""),
    }
}

prop_compose! {
    fn manifest()(
        before in comment(), after in comment(), inline in comment(), indent in 1usize..5, item in 0usize..3,
        other in "[a-z]{1,5}", image_style in 0usize..3, crlf in any::<bool>(), flow in any::<bool>(),
        documents in any::<[bool; 2]>(), replicas in 0i32..50, extra in prop::collection::vec("[a-z]{1,4}", 0..3),
    ) -> (String, i32) {
        let pad = " ".repeat(indent);
        let list = " ".repeat(item);
        let inline = if inline.is_empty() { inline } else { format!("  {inline}") };
        let mut lines = Vec::new();
        if documents[0] {
            lines.extend(["apiVersion: v1", "kind: Service", "metadata: {name: web, namespace: shop}", "---"].map(String::from));
        }
        lines.push(before);
        lines.push("apiVersion: apps/v1".into());
        lines.push("kind: Deployment".into());
        if flow {
            lines.push("metadata: {namespace: shop, \"name\": web}".into());
        } else {
            lines.push("metadata:".into());
            lines.push(format!("{pad}name:   web"));
        }
        lines.push("spec:".into());
        lines.extend(extra.iter().enumerate().map(|(n, text)| format!("{pad}x{n}: {text}")));
        lines.push(format!("{pad}replicas:   {replicas}{inline}"));
        lines.push(format!("{pad}template:"));
        lines.push(format!("{pad}{pad}spec:"));
        lines.push(format!("{pad}{pad}{pad}containers:"));
        let at = format!("{pad}{pad}{pad}{list}");
        lines.push(format!("{at}- name: {other}x"));
        lines.push(format!("{at}  image: {}", quoted("r.io/web:1.0", image_style)));
        lines.push(format!("{at}- image: {}{inline}", quoted("r.io/web:1.0", image_style)));
        lines.push(format!("{at}  name: web"));
        lines.push(after);
        if documents[1] {
            lines.extend(["---", "# replicas", "kind: Deployment", "apiVersion: apps/v1", "metadata: {name: web2}", "spec: {replicas: 3}"].map(String::from));
        }
        (lines.join(if crlf { "\r\n" } else { "\n" }), replicas)
    }
}

fn values(text: &str) -> Value {
    parse(text).unwrap().iter().map(Node::value).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn one_value_changes_and_nothing_else((text, replicas) in manifest(), to in 0i32..2000, image in 0usize..6) {
        let images = ["r.io/web:2", "r.io/web:1.10", "on", "r.io/web@sha256:00", "it's: #odd", "\u{e9}\"\n"];
        for (path, from, to) in [
            ("/spec/replicas", json!(replicas), json!(to)),
            ("/spec/template/spec/containers/name=web/image", json!("r.io/web:1.0"), json!(images[image])),
        ] {
            prop_assume!(from != to);
            let files = Files::from([("apps/web.yaml".to_owned(), text.clone()), ("x.yaml".to_owned(), text.clone())]);
            let forth = change(path, from.clone(), to.clone());
            let edited = edit(&files, "apps", std::slice::from_ref(&forth)).unwrap();
            prop_assert_eq!(&edited, &edit(&files, "apps", &[forth]).unwrap());
            prop_assert_eq!(edited.files.len(), 1);
            let after = &edited.files["apps/web.yaml"];
            prop_assert_eq!(differences(&values(&text), &values(after)), 1);
            // Outside of one range of bytes all stays: the shared front and back cover everything but the scalar.
            let front = text.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
            let back = text.bytes().rev().zip(after.bytes().rev()).take_while(|(a, b)| a == b).count();
            prop_assert!(text.len() - front.min(text.len()) <= back + 20, "{after}");
            let changed = Files::from([("apps/web.yaml".to_owned(), after.clone())]);
            // The new value is there already.
            prop_assert!(edit(&changed, "apps", &[change(path, from.clone(), to.clone())]).unwrap().files.is_empty());
            let back = edit(&changed, "apps", &[change(path, to, from)]).unwrap();
            prop_assert_eq!(values(&back.files["apps/web.yaml"]), values(&text));
        }
    }

    /// Whatever the text is, an edit refuses or changes one value; it never panics.
    #[test]
    fn any_text_is_survived(text in "(\\PC|[\n :#|>'\"*&!-]){0,80}", n in 0u8..3) {
        let head = ["", "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: web}\nspec:\n replicas: 3\n",
            "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: web}\nspec: &a\n replicas: 3\n"][usize::from(n)];
        let text = format!("{head}{text}");
        let files = Files::from([("web.yaml".to_owned(), text.clone()), ("kustomization.yaml".to_owned(), text.clone())]);
        for root in ["", "apps"] {
            if let Ok(edited) = edit(&files, root, &[change("/spec/replicas", json!(3), json!(4))]) {
                for after in edited.files.values() {
                    prop_assert_eq!(differences(&values(&text), &values(after)), 1);
                }
            }
        }
        let plain = Files::from([("web.yaml".to_owned(), text.clone())]);
        if let Ok(edited) = edit(&plain, "", &[change("/spec/replicas", json!(3), json!(4))]) {
            for after in edited.files.values() {
                prop_assert_eq!(differences(&values(&text), &values(after)), 1);
            }
        }
    }
}
