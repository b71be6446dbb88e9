//! What was learned of a running system, as far as a repair could change it, and what a repair does to it.

/// Services, what they call, and what they share. Series have one value a window, oldest first; NaN where nothing is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct System {
    /// Seconds of a window.
    pub window_s: f64,
    /// Services; calls, stores and nodes name them by position.
    pub services: Vec<Service>,
    /// Calls between services.
    pub calls: Vec<Call>,
    /// Stores.
    pub stores: Vec<Store>,
    /// Nodes.
    pub nodes: Vec<Node>,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// Name in telemetry.
    pub entity: String,
    /// Requests that arrive, per second.
    pub rate: Vec<f64>,
    /// Mean seconds of a request.
    pub latency: Vec<f64>,
    /// Share of the requests that fail, 0 to 1.
    pub errors: Vec<f64>,
    /// Used share of the CPU limit of all instances, 0 to 1.
    pub cpu: Vec<f64>,
    /// Used share of the connections to its store, 0 to 1.
    pub pool: Vec<f64>,
    /// Requests that wait for a connection.
    pub pending: Vec<f64>,
    /// Messages that wait for it.
    pub lag: Vec<f64>,
    /// Instances that report.
    pub instances: Vec<f64>,
    /// Cores that all instances use now; NaN where it is not told.
    pub cores: f64,
    /// CPU of a request at an instance that has just started, as a multiple of later, as past starts showed; NaN without any.
    pub cold: f64,
    /// Connections that an instance may hold, by position of the store.
    pub pools: Vec<(usize, f64)>,
    /// Instances that run on each node, by position of the node.
    pub placed: Vec<(usize, f64)>,
    /// Names of its running instances.
    pub pods: Vec<String>,
    /// Windows in which a release of it began, ascending.
    pub releases: Vec<usize>,
    /// Windows in which its configuration was changed, ascending.
    pub configs: Vec<usize>,
}

/// Calls from one service to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// Caller.
    pub from: usize,
    /// Callee.
    pub to: usize,
    /// Calls for each request of the caller.
    pub per_request: f64,
    /// Whether the caller waits for the answer; else it goes through a queue.
    pub waits: bool,
    /// Share of the failed calls with which the caller's request fails too; NaN where none has failed yet.
    pub passes: f64,
    /// Seconds after which the caller gave up; NaN where it was not seen to.
    pub timeout: f64,
}

/// A store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Store {
    /// Name in telemetry.
    pub entity: String,
    /// Connections that it takes; NaN where it is not told.
    pub most: f64,
    /// Who calls it: service, calls for each of its requests, and mean seconds of a call.
    pub clients: Vec<(usize, f64, f64)>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Cores that it has; NaN where it is not told.
    pub cores: f64,
    /// Cores that are used, by whatever.
    pub used: f64,
}

/// One thing that a repair does. Services are named as in telemetry.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The number of instances is set.
    Instances {
        /// Service.
        service: String,
        /// Before.
        from: f64,
        /// After.
        to: f64,
    },
    /// The bounds of the autoscaler are set.
    Bounds {
        /// Service.
        service: String,
        /// Instances at least.
        least: f64,
        /// Instances at most.
        most: f64,
        /// Used share of the CPU limit that it aims at; NaN where it aims at something else.
        target: f64,
    },
    /// The CPU limit of every instance is multiplied.
    Cpu {
        /// Service.
        service: String,
        /// By this.
        factor: f64,
        /// Instances that its autoscaler may bring it to; NaN without one.
        most: f64,
        /// Used share of the CPU limit that its autoscaler aims at; NaN without one.
        target: f64,
    },
    /// Every instance is replaced, some at a time.
    Roll {
        /// Service.
        service: String,
        /// Share of the instances that may be away at once, 0 to 1.
        at_once: f64,
        /// Instances that its autoscaler may bring it to; NaN without one.
        most: f64,
        /// Used share of the CPU limit that its autoscaler aims at; NaN without one.
        target: f64,
    },
    /// The newest release is taken back.
    UndoRelease {
        /// Service.
        service: String,
    },
    /// The newest change of the configuration is taken back.
    UndoConfig {
        /// Service.
        service: String,
    },
    /// One instance is replaced.
    Remove {
        /// Service, or empty where only the instance is known.
        service: String,
        /// Instance.
        pod: String,
    },
    /// Nothing that counts here.
    Nothing {
        /// Service.
        service: String,
    },
    /// All instances on a node are moved to others.
    Empty {
        /// Node.
        node: String,
    },
}

impl Service {
    /// Whether `name` means this service: equal, or one of both lacks the namespace.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        let bare = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
        self.entity == name
            || (!name.contains('/') || !self.entity.contains('/')) && bare(&self.entity) == bare(name)
    }

    /// Whether messages wait for it.
    #[must_use]
    pub fn consumes(&self) -> bool {
        self.lag.iter().any(|lag| lag.is_finite())
    }
}

impl System {
    /// Position of the service of that name: the same name first, then one without or with a namespace.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        let same = self.services.iter().position(|service| service.entity == name);
        same.or_else(|| self.services.iter().position(|service| service.is(name)))
    }

    /// Positions of the services that a change is about.
    #[must_use]
    pub fn touched(&self, change: &Change) -> Vec<usize> {
        match change {
            Change::Instances { service, .. }
            | Change::Bounds { service, .. }
            | Change::Cpu { service, .. }
            | Change::Roll { service, .. }
            | Change::Nothing { service }
            | Change::UndoRelease { service }
            | Change::UndoConfig { service } => self.position(service).into_iter().collect(),
            Change::Remove { service, pod } => {
                let by_pod = self.services.iter().position(|s| s.pods.contains(pod));
                by_pod.or_else(|| self.position(service)).into_iter().collect()
            }
            Change::Empty { node } => {
                let Some(node) = self.nodes.iter().position(|n| n.name == *node) else { return Vec::new() };
                let runs_there = |s: &Service| s.placed.iter().any(|(at, count)| *at == node && *count > 0.0);
                (0..self.services.len()).filter(|at| runs_there(&self.services[*at])).collect()
            }
        }
    }

    /// Services whose requests wait for one of `of`, directly or through others, these included; in order.
    #[must_use]
    pub fn above(&self, of: &[usize]) -> Vec<usize> {
        self.reach(of, |call| call.waits.then_some((call.to, call.from)))
    }

    /// Services that get requests from one of `of`, directly or through others, these included; in order.
    #[must_use]
    pub fn below(&self, of: &[usize]) -> Vec<usize> {
        self.reach(of, |call| Some((call.from, call.to)))
    }

    fn reach(&self, of: &[usize], step: impl Fn(&Call) -> Option<(usize, usize)>) -> Vec<usize> {
        let mut found = vec![false; self.services.len()];
        let mut open: Vec<usize> = of.to_vec();
        while let Some(at) = open.pop() {
            if let Some(seen) = found.get_mut(at).filter(|seen| !**seen) {
                *seen = true;
                open.extend(
                    self.calls.iter().filter_map(&step).filter(|(from, _)| *from == at).map(|(_, to)| to),
                );
            }
        }
        (0..found.len()).filter(|at| found[*at]).collect()
    }

    /// Callees before callers, as far as calls form no circle.
    #[must_use]
    pub(super) fn callees_first(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.services.len());
        let mut state = vec![0_u8; self.services.len()];
        for start in 0..self.services.len() {
            let mut stack = vec![(start, false)];
            while let Some((at, done)) = stack.pop() {
                if done {
                    order.push(at);
                } else if state[at] == 0 {
                    state[at] = 1;
                    stack.push((at, true));
                    stack.extend(
                        self.calls.iter().filter(|c| c.from == at && state[c.to] == 0).map(|c| (c.to, false)),
                    );
                }
            }
        }
        order
    }
}
