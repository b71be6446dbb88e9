//! `causeway executor` as a process that can be killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::DeleteParams;
use kube::{Api, Client};

use crate::accounts::{OPERATOR, SYSTEM};

/// One process after the other; clones are the same one. The last one ends with the last clone.
#[derive(Clone)]
pub(crate) struct Executor(Arc<Inner>);

struct Inner {
    program: PathBuf,
    kubeconfig: PathBuf,
    log: PathBuf,
    admin: Client,
    running: Mutex<Option<Child>>,
    stopped: AtomicBool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        end(self.running.get_mut().unwrap());
    }
}

fn end(running: &mut Option<Child>) {
    if let Some(mut child) = running.take() {
        drop(child.kill());
        drop(child.wait());
    }
}

impl Executor {
    /// Not running yet. `kubeconfig` is its own, `admin` takes the Lease of a dead one away.
    pub(crate) fn new(program: &Path, kubeconfig: &Path, admin: &Client) -> Self {
        let log = kubeconfig.with_extension("log");
        Self(Arc::new(Inner {
            program: program.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            log,
            admin: admin.clone(),
            running: Mutex::default(),
            stopped: AtomicBool::new(false),
        }))
    }

    pub(crate) fn start(&self) {
        let Inner { program, kubeconfig, log, running, stopped, .. } = &*self.0;
        let mut running = running.lock().unwrap();
        if stopped.load(Ordering::SeqCst) {
            return;
        }
        end(&mut running);
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(program)
            .args(["executor", "--namespace", SYSTEM, "--operator-user", OPERATOR])
            .args(["--lease-duration", "3s", "--admin", "127.0.0.1:0", "--git-protocols", "http"])
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        running.replace(child);
    }

    /// Kills it, and lets nobody start it again.
    pub(crate) fn stop(&self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        end(&mut self.0.running.lock().unwrap());
    }

    /// Kills it with SIGKILL, and starts it again. Another one may lead at once.
    pub(crate) async fn crash(&self) {
        end(&mut self.0.running.lock().unwrap());
        // Otherwise others wait until it has run out.
        let leases: Api<Lease> = Api::namespaced(self.0.admin.clone(), SYSTEM);
        leases.delete("causeway-executor", &DeleteParams::default()).await.ok();
        self.start();
    }

    /// What the processes have said.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.0.log).unwrap_or_default()
    }
}
