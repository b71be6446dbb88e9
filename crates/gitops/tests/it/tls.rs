//! Steps over HTTPS with a private authority.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use causeway_gitops::{Credentials, GitError, Made, Mode, Provider};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::server::{PASSWORD, Server, USER};
use crate::{WEB, World};

/// Accepts connections and shakes hands.
struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // Who does not trust the certificate hangs up.
            if let Ok((stream, address)) = self.listener.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Certificates for a day, as the program `openssl` makes them.
const CERTIFICATES: &str = "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = causeway test\n\
    [authority]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign\nsubjectKeyIdentifier = hash\n\
    [server]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = IP:127.0.0.1\nextendedKeyUsage = serverAuth\n";

/// The certificate of a new authority as PEM, and a server's configuration with a certificate of it.
fn authority() -> (String, ServerConfig) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("openssl.cnf"), CERTIFICATES).unwrap();
    let make = |name: &str, more: &[&str]| {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-config", "openssl.cnf", "-days", "1", "-noenc", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-extensions", name, "-keyout", &key])
            .args(["-out", &certificate])
            .args(more)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
        (folder.path().join(key), folder.path().join(certificate))
    };
    let (_, own) = make("authority", &[]);
    let signed = ["-subj", "/CN=git", "-CA", "authority.crt", "-CAkey", "authority.key"];
    let (key, certificate) = make("server", &signed);
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    (std::fs::read_to_string(own).unwrap(), config)
}

async fn world(config: ServerConfig) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (server, router) = Server::at(address);
    let tls = Tls { listener, acceptor: TlsAcceptor::from(Arc::new(config)) };
    tokio::spawn(async move { axum::serve(tls, router).await.unwrap() });
    let mut world = World::of(server);
    world.repository.url = format!("https://{address}/shop/apps.git");
    world
}

fn credentials(authority: Option<&str>) -> Credentials {
    let data = [("username", Some(USER)), ("password", Some(PASSWORD)), ("ca.crt", authority)];
    let data = data.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.as_bytes().to_vec())));
    Credentials::from_secret(&data.collect())
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_the_secret_names_it() {
    let (authority, config) = authority();
    let mut world = world(config).await;
    let http = reqwest::Client::new();
    let known = credentials(Some(&authority));
    let made = world.git.make(&known, &http, &world.step(false), None).await.unwrap();
    assert_eq!(made, Made::Committed(world.repository.head("main")));
    assert!(matches!(world.git.make(&known, &http, &world.step(true), None).await, Ok(Made::Committed(_))));
    assert_eq!(world.web("main"), WEB);
    // The API of the forge has a certificate of it, too.
    world.mode = Mode::PullRequest;
    world.provider = Some(Provider::Gitea);
    let step = causeway_gitops::Step { key: "sha256:another", ..world.step(false) };
    let made = world.git.make(&known, &http, &step, None).await.unwrap();
    assert_eq!(made, Made::Proposed("https://git.example.com/shop/apps/pulls/7".into()));
}

#[tokio::test]
async fn without_it_the_message_says_what_to_do() {
    let (_, config) = authority();
    let world = world(config).await;
    let (other, _) = authority();
    for (secret, says) in [
        (credentials(None), "put that authority's certificate into ca.crt of the Secret"),
        (credentials(Some(&other)), "put that authority's certificate into ca.crt of the Secret"),
        (credentials(Some("no certificate")), "ca.crt of the Secret holds no certificate in PEM"),
    ] {
        let refusal = world.git.rehearse(&secret, &world.step(false)).await.unwrap_err();
        assert!(matches!(&refusal, GitError::Refused(message) if message.ends_with(says)), "{refusal}");
    }
    assert_eq!(world.repository.log("main").len(), 1);
}
