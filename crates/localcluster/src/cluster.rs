//! The public face: open a cluster, get clients for it, serve it over HTTP.

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::service_fn;

use crate::admission::{Admission, User};
use crate::core::{Clock, Core};
use crate::crd;
use crate::managed::{self, Author};
use crate::prepare::{self, Circumstances, Part};
use crate::schema::FieldValidation;
use crate::service::{refuse, respond};
use crate::sqlite::FileError;
use crate::status::ApiError;
use crate::store::{Change, Key, Store};
use crate::tokens::{TokenError, Tokens, from_path, kubeconfig, write_private};

const STATE_FILE: &str = "localcluster.sqlite";
const TOKEN_FILE: &str = "tokens.json";

/// Where a cluster keeps its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Nowhere: it is gone with the process.
    Memory,
    /// In files of this folder, which is created when it is missing.
    Folder(PathBuf),
}

/// What a cluster is made of.
#[derive(Clone)]
pub struct Options {
    /// Where the state is kept.
    pub storage: Storage,
    /// Custom resources to serve; definitions that are stored already are brought up to date.
    pub crds: Vec<CustomResourceDefinition>,
    /// Who may connect over HTTP; the first user is written into the kubeconfig.
    pub users: Vec<User>,
    /// Rules that every write of an object passes, in this order.
    pub admission: Vec<Arc<dyn Admission>>,
    /// Clock of `creationTimestamp` and its like, of ages in tables and of the retention of Events.
    pub now: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            storage: Storage::Memory,
            crds: Vec::new(),
            users: vec![User::new("admin")],
            admission: Vec::new(),
            now: Arc::new(jiff::Timestamp::now),
        }
    }
}

/// Why a cluster does not open or serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder cannot be made or written.
    #[error("data folder {path}: {source}")]
    Folder {
        /// The folder.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The state file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The token file or the kubeconfig.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A definition that was given is not valid.
    #[error("custom resource definition {name}: {message}")]
    Definition {
        /// Name of the definition.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// No user has this name.
    #[error("no user is named {0:?}")]
    NoSuchUser(String),
    /// The start of the cluster could not be stored.
    #[error("{0}")]
    Start(String),
}

/// A Kubernetes API in this process. Clones share it.
#[derive(Clone)]
pub struct LocalCluster {
    core: Arc<Core>,
    tokens: Arc<Tokens>,
}

impl LocalCluster {
    /// Opens a cluster and installs its definitions, and the namespaces `default` and `kube-system`.
    ///
    /// # Errors
    /// When the folder cannot be written, another process holds the state file, or a definition is invalid.
    pub fn open(options: Options) -> Result<Self, Error> {
        let (state, tokens) = match &options.storage {
            Storage::Memory => (None, None),
            Storage::Folder(folder) => {
                make_private(folder)?;
                (Some(folder.join(STATE_FILE)), Some(folder.join(TOKEN_FILE)))
            }
        };
        let store = Store::open(state.as_deref())?;
        let tokens = Tokens::open(options.users, tokens.as_deref())?;
        let core = Arc::new(Core::new(store, options.admission, options.now));
        for definition in options.crds {
            install(&core, definition)?;
        }
        for name in ["default", "kube-system"] {
            let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
            ensure(&core, "", "v1", "namespaces", namespace)
                .map_err(|error| Error::Start(format!("namespace {name}: {}", error.message)))?;
        }
        Ok(Self { core, tokens: Arc::new(tokens) })
    }

    /// A client that acts as `user` and speaks to this cluster without a socket. The name need not be one of
    /// [`Options::users`]. Its default namespace is `default`. Call it inside a tokio runtime.
    pub fn client(&self, user: impl Into<String>) -> kube::Client {
        let name: String = user.into();
        let (core, tokens) = (Arc::clone(&self.core), Arc::clone(&self.tokens));
        let service = service_fn(move |request: Request<Body>| {
            let (core, tokens, name) = (Arc::clone(&core), Arc::clone(&tokens), name.clone());
            async move {
                let identity = tokens.impersonate(tokens.identity(&name), request.headers());
                Ok::<_, Infallible>(match identity {
                    Ok(identity) => {
                        let closing = core.closing.subscribe();
                        respond(core, identity, closing, request).await
                    }
                    Err(error) => refuse(&error),
                })
            }
        });
        kube::Client::new(service, "default")
    }

    /// The newest resource version; it grows with every stored change.
    pub fn resource_version(&self) -> u64 {
        self.core.store.version()
    }

    /// The bearer token of a user.
    pub fn token(&self, user: &str) -> Option<&str> {
        self.tokens.token(user)
    }

    /// Writes a kubeconfig (mode 0600) for the first user.
    ///
    /// # Errors
    /// When there is no user or the file cannot be written.
    pub fn write_kubeconfig(&self, path: &Path, server: &str) -> Result<(), Error> {
        let (user, token) = self.tokens.first().ok_or_else(|| Error::NoSuchUser("(first)".to_owned()))?;
        Ok(write_private(path, &kubeconfig(server, &user.name, token))?)
    }

    /// Serves HTTP/1 and HTTP/2 (without TLS: give it a loopback listener) until `shutdown` is ready or the cluster
    /// is closed; then its watches end and open requests are finished. In-process clients go on.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let ending = watch::Sender::new(false);
        let mut closed = self.core.closing.subscribe();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                _ = closed.changed() => break,
                accepted = listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "nodelay could not be set");
            }
            let (core, tokens) = (Arc::clone(&self.core), Arc::clone(&self.tokens));
            let end = ending.subscribe();
            let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
                let (core, tokens, end) = (Arc::clone(&core), Arc::clone(&tokens), end.clone());
                async move {
                    from_path(&mut request);
                    let path = request.uri().path();
                    let open = matches!(path, "/healthz" | "/readyz" | "/livez" | "/version");
                    let identity = if open {
                        Ok(tokens.identity("system:anonymous"))
                    } else {
                        tokens
                            .authenticate(request.headers())
                            .and_then(|user| tokens.impersonate(user, request.headers()))
                    };
                    Ok::<_, Infallible>(match identity {
                        Ok(identity) => respond(core, identity, end, request).await,
                        Err(error) => refuse(&error),
                    })
                }
            });
            let builder = Builder::new(TokioExecutor::new());
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error, "a connection ended with an error");
                }
            });
        }
        ending.send_replace(true);
        graceful.shutdown().await;
    }

    /// Ends all watches and lets go of the state file; writes that come later fail. Clients that are still about
    /// keep the objects in memory, not the file.
    pub fn close(&self) {
        self.core.store.close();
        self.core.closing.send_replace(true);
    }
}

fn make_private(folder: &Path) -> Result<(), Error> {
    let wrap = |source| Error::Folder { path: folder.display().to_string(), source };
    fs::create_dir_all(folder).map_err(wrap)
}

/// Stores a definition, or brings the stored one up to date.
fn install(core: &Arc<Core>, definition: CustomResourceDefinition) -> Result<(), Error> {
    let name = definition.metadata.name.clone().unwrap_or_default();
    let wrap = |message: String| Error::Definition { name: name.clone(), message };
    let mut object = serde_json::to_value(&definition).map_err(|error| wrap(error.to_string()))?;
    if let Some(map) = object.as_object_mut() {
        map.shift_remove("status");
    }
    ensure(core, "apiextensions.k8s.io", "v1", "customresourcedefinitions", object)
        .map_err(|error| wrap(error.message))
}

/// Creates an object, or updates it when it differs from what is wanted.
fn ensure(
    core: &Arc<Core>,
    group: &str,
    version: &str,
    plural: &str,
    mut object: Value,
) -> Result<(), ApiError> {
    let registry = core.registry();
    let kind = registry.get(group, version, plural).ok_or_else(ApiError::no_such_path)?;
    let now = (core.now)();
    let around = Circumstances {
        now,
        unknown_fields: FieldValidation::Strict,
        replaces: true,
        patches: false,
        patched: None,
    };
    let author = Author {
        manager: "causeway".to_owned(),
        api_version: kind.api_version(),
        subresource: String::new(),
        time: prepare::stamp(now),
    };
    prepare::check_type(kind, &mut object)?;
    let name = prepare::meta(&object, "name").to_owned();
    let key = Key::new(&kind.store, "", &name);
    let mut writer = core.store.writer();
    let old = core.store.get(&key);
    match &old {
        None => {
            let sent = prepare::create(kind, &mut object, "", None, &around)?.sent;
            managed::record_create(kind, &sent, &mut object, &author);
        }
        Some(_) if &*key.shelf != crd::SHELF => return Ok(()),
        Some(old) => {
            if let Some(metadata) = old.get("metadata") {
                object["metadata"] = metadata.clone();
            }
            prepare::update(kind, old, &mut object, Part::Main, &around)?;
            managed::record_update(kind, old, &mut object, &author);
        }
    }
    if old.as_deref() != Some(&object) {
        core.commit(&mut writer, vec![Change { key, old, new: Some(Arc::new(object)) }])?;
    }
    Ok(())
}
