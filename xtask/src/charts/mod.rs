//! `cargo xtask charts`: the Helm charts, by themselves and on a real API server.

mod install;
mod rights;
mod schemas;
mod tried;

use std::path::PathBuf;

use anyhow::{Context, Result};

use self::install::Kubectl;
use self::schemas::{kinds, standalone};
use crate::cluster::TestCluster;
use crate::demo::build;
use crate::go::tools;
use crate::run::{output, run, say, target};

/// The charts, in the order of their installation, with the values that render everything.
const CHARTS: [(&str, Option<&str>); 2] =
    [("charts/causeway-crds", None), ("charts/causeway", Some("charts/causeway/tests/all.values.yaml"))];

/// Lints the charts and runs their unit tests.
pub(crate) fn check() -> Result<()> {
    let [helm, unittest] = paths(["helm", "helm-unittest"])?;
    for (chart, values) in CHARTS {
        let mut lint = vec!["lint", "--strict", "--quiet", chart];
        lint.extend(values.iter().flat_map(|file| ["--values", file]));
        run(&format!("lint of {chart}"), &helm, &lint)?;
    }
    let folders: Vec<&str> = CHARTS.iter().map(|(chart, _)| *chart).collect();
    run("unit tests of the charts", &unittest, &folders)
}

/// Checks the charts on a real API server, started for it: what they render, that they install, and that the rights they
/// grant are those in use. Takes the built binaries. Gives the file with what came of the outage.
pub(crate) fn installed() -> Result<PathBuf> {
    let [helm, kubeconform] = paths(["helm", "kubeconform"])?;
    let cluster = TestCluster::for_charts()?;
    let kubectl = Kubectl::of(cluster.kubeconfig())?;
    conform(&helm, &kubeconform, &kubectl)?;
    install::rights(&helm, &kubectl, &cluster)?;
    Ok(install::summary_of_roles())
}

/// Scenarios of the shop with the rights of the charts, on API servers of their own.
pub(crate) fn shop() -> Result<()> {
    let [helm] = paths(["helm"])?;
    install::rights_of_shop(&helm)
}

/// Installs the charts in a cluster, for one tenant; gives the folder with a kubeconfig for each role.
pub(crate) fn roles(cluster: &TestCluster, tenant: &str) -> Result<PathBuf> {
    let [helm] = paths(["helm"])?;
    install::roles(&helm, &Kubectl::of(cluster.kubeconfig())?, cluster, tenant)
}

/// Validates everything that the charts render against what the API server says of its kinds.
fn conform(helm: &str, kubeconform: &str, kubectl: &Kubectl) -> Result<()> {
    let folder = target().join("charts");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut files = Vec::new();
    for (chart, values) in CHARTS {
        let mut template = vec!["template", "causeway", chart, "--namespace", "causeway-system"];
        template.extend(values.iter().flat_map(|file| ["--values", file]));
        let rendered = output(helm, &template)?;
        for kind in kinds(&rendered) {
            let openapi = serde_json::from_str(&kubectl.run(&["get", "--raw", &kind.document()])?)?;
            let schema = standalone(&openapi, &kind)
                .with_context(|| format!("the API server has no schema of {kind:?}, which {chart} uses"))?;
            std::fs::write(folder.join(kind.file()), schema.to_string())?;
        }
        let file = folder.join(format!("{}.yaml", chart.replace('/', "-")));
        std::fs::write(&file, rendered)?;
        files.push(file.display().to_string());
    }
    let schemas = format!("{}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json", folder.display());
    let mut arguments = vec!["-strict", "-summary", "-schema-location", &schemas];
    arguments.extend(files.iter().map(String::as_str));
    run("schemas of what the charts render", kubeconform, &arguments)
}

fn paths<const N: usize>(names: [&str; N]) -> Result<[String; N]> {
    let found: Vec<String> = tools(&names)?.into_iter().map(|tool| tool.path.display().to_string()).collect();
    found.try_into().map_err(|_| anyhow::anyhow!("tools are missing"))
}

/// Where files of an installation go.
fn work(cluster: &TestCluster, name: &str) -> Result<PathBuf> {
    let folder = cluster.folder().join("charts");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder.join(name))
}

/// Checks everything, or only what the shop uses; `no_build`: with the binaries as they are.
pub(crate) fn charts(no_build: bool, only_shop: bool) -> Result<()> {
    if !only_shop {
        check()?;
    }
    if !no_build {
        build(&[])?;
    }
    if only_shop {
        return shop();
    }
    installed()?;
    say("the charts are right");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::root;

    #[test]
    fn the_charts_have_the_version_of_the_workspace() {
        for (chart, _) in CHARTS {
            let text = std::fs::read_to_string(root().join(chart).join("Chart.yaml")).unwrap();
            for field in ["version", "appVersion"] {
                let line = format!("{field}: {}", env!("CARGO_PKG_VERSION"));
                assert!(text.lines().any(|known| known == line), "{chart}/Chart.yaml must have {line}");
            }
        }
    }
}
