//! Notices leave the process, once for each thing worth telling.

use std::sync::{Arc, Mutex};

use causeway_crds::NotificationTarget;
use causeway_engine::SymptomState;
use causeway_kubekit::check_conditions;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{World, incident};

/// A receiver that remembers bodies.
pub(crate) async fn receiver() -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let bodies: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = Arc::clone(&bodies);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                let mut chunk = [0_u8; 4096];
                while let Ok(read) = stream.read(&mut chunk).await {
                    if read == 0 {
                        return;
                    }
                    bytes.extend_from_slice(&chunk[..read]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head
                        .lines()
                        .filter_map(|line| line.split_once(':'))
                        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                        .map_or(0, |(_, value)| value.trim().parse::<usize>().unwrap());
                    if body.len() >= length {
                        seen.lock().unwrap().push(serde_json::from_str(body).unwrap());
                        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                        stream.write_all(answer.as_bytes()).await.unwrap();
                        return;
                    }
                }
            });
        }
    });
    (url, bodies)
}

#[tokio::test]
async fn material_changes_are_told_once_also_over_a_restart() {
    let (url, bodies) = receiver().await;
    let mut world = World::shop("Approve").await;
    world
        .create::<NotificationTarget>(
            json!({"metadata": {"name": "hook"}, "spec": {"type": "Webhook", "webhook": {"url": url}}}),
        )
        .await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    let told = bodies.lock().unwrap().len();
    assert!(told >= 1);
    world.pass(30).await;
    world.stop().await;
    world.start();
    world.settle().await;
    assert_eq!(bodies.lock().unwrap().len(), told, "nothing new, nothing told");
    world.symptom(SymptomState::Clear).await;
    assert!(bodies.lock().unwrap().len() > told);
    let last = bodies.lock().unwrap().last().cloned().unwrap().to_string();
    assert!(last.contains("Monitoring") && last.contains("gateway-3fa9c1"), "{last}");
    let target: NotificationTarget = world.get("hook").await;
    assert_eq!(check_conditions(&target), []);
    assert!(world.folder.path().join("state/shop.hook.json").exists());
}

#[tokio::test]
async fn a_dead_receiver_holds_nothing_up_and_a_missing_secret_is_named() {
    let mut world = World::shop("Auto").await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let webhook = json!({"url": format!("http://{dead}/"), "retry": {"attempts": 50}});
    world
        .create::<NotificationTarget>(
            json!({"metadata": {"name": "dead"}, "spec": {"type": "Webhook", "webhook": webhook}}),
        )
        .await;
    let slack = json!({"webhookSecretRef": {"name": "slack", "key": "url"}});
    world
        .create::<NotificationTarget>(
            json!({"metadata": {"name": "slack"}, "spec": {"type": "Slack", "slack": slack}}),
        )
        .await;
    world.start();
    world.settle().await;
    world.publish(incident(world.now())).await;
    world.symptom(SymptomState::Clear).await;
    let target: NotificationTarget = world.get("slack").await;
    assert_eq!(check_conditions(&target), []);
    let text = serde_json::to_string(&target.status).unwrap();
    assert!(text.contains("SecretMissing") && text.contains("shop/slack"), "{text}");
    world.stop().await;
}
