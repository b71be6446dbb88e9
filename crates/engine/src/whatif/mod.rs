//! What a repair would do: what the engine learned, in the form that [`causeway_causal::whatif`] reckons with.

mod series;
mod traces;

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_causal::whatif::{Call, Node, Service, Store, System, predict};
pub use causeway_causal::whatif::{Change as Step, Effect, Foretold, MEASURE_S, SETTLE_S, Signal, Verdict};
use causeway_model::Micros;

use self::series::{Course, Grid};
use self::traces::Traffic;
use crate::change::ChangeClass;
use crate::engine::Engine;
use crate::names;

/// How far back traces are counted, microseconds.
const TRACES_US: i64 = 300_000_000;
/// Requests of a service that traces must show before its calls count.
const SHOWN: f64 = 10.0;
/// Failed calls that must be seen before it counts what they did to the caller.
const FAILED: f64 = 5.0;

impl Engine {
    /// What a repair would do, from everything that is known now. O(series + spans of five minutes).
    #[must_use]
    pub fn what_if(&self, steps: &[Step]) -> Effect {
        predict(&self.system(), steps)
    }

    /// Mean of a signal that [`Engine::what_if`] foretells, over windows that end within `from_us..=until_us`; `None` before
    /// all of them were evaluated, and where too few of them have a value.
    #[must_use]
    pub fn measured(&self, entity: &str, signal: Signal, from_us: Micros, until_us: Micros) -> Option<f64> {
        let reached = self.watermark_us()?;
        if reached < until_us || until_us <= from_us {
            return None;
        }
        let grid = Grid::between(from_us, until_us, self.config.window_us);
        let courses = series::courses(&[&self.metrics, &self.served], &grid, Some(entity));
        let values = courses.get(entity)?.values(signal, &grid);
        let known: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let enough = known.len() * 2 >= grid.length;
        enough.then(|| known.iter().sum::<f64>() / known.len() as f64)
    }

    /// What was learned.
    fn system(&self) -> System {
        let Some(until_us) = self.watermark_us() else { return System::default() };
        let grid = Grid::between(until_us - self.config.history_us, until_us, self.config.window_us);
        let courses = series::courses(&[&self.metrics, &self.served], &grid, None);
        let traffic = traces::count(self.recent.between(until_us - TRACES_US, until_us));
        let mut system = System { window_s: grid.window_us as f64 / 1e6, ..System::default() };
        system.services = courses
            .iter()
            .filter(|(_, course)| course.serves())
            .map(|(entity, course)| course.service(entity, &grid))
            .collect();
        let at: BTreeMap<String, usize> =
            system.services.iter().enumerate().map(|(at, service)| (service.entity.clone(), at)).collect();
        add_calls(&mut system, &at, &traffic);
        add_stores(&mut system, &at, &traffic, &courses);
        self.add_nodes(&mut system, &courses);
        self.add_changes(&mut system, &grid);
        system
    }

    fn add_nodes(&self, system: &mut System, courses: &BTreeMap<Arc<str>, Course>) {
        let told = series::nodes(courses);
        for placement in self.placements.live() {
            let Some(service) = system.position(&placement.service) else { continue };
            if !placement.node.is_empty() {
                let known = system.nodes.iter().position(|node| node.name == placement.node);
                let node = known.unwrap_or_else(|| {
                    let (used, cores) = told.get(&placement.node).copied().unwrap_or((f64::NAN, f64::NAN));
                    system.nodes.push(Node { name: placement.node.clone(), cores, used });
                    system.nodes.len() - 1
                });
                let placed = &mut system.services[service].placed;
                match placed.iter_mut().find(|(at, _)| *at == node) {
                    Some((_, count)) => *count += 1.0,
                    None => placed.push((node, 1.0)),
                }
            }
            system.services[service].pods.push(placement.pod.clone());
        }
    }

    fn add_changes(&self, system: &mut System, grid: &Grid) {
        for change in &self.changes {
            let (Some(service), Some(window)) =
                (system.position(&change.entity), grid.window(change.time_us))
            else {
                continue;
            };
            let service = &mut system.services[service];
            match change.class {
                ChangeClass::Release => service.releases.push(window),
                ChangeClass::Config => service.configs.push(window),
                _ => {}
            }
        }
        for service in &mut system.services {
            for made in [&mut service.releases, &mut service.configs] {
                made.sort_unstable();
                made.dedup();
            }
        }
    }
}

fn add_calls(system: &mut System, at: &BTreeMap<String, usize>, traffic: &Traffic) {
    for ((caller, callee), calls) in &traffic.calls {
        let served = traffic.served.get(caller).copied().unwrap_or(0.0);
        let (Some(from), Some(to)) = (at.get(caller.as_ref()), at.get(callee.as_ref())) else { continue };
        if served >= SHOWN {
            system.calls.push(Call {
                from: *from,
                to: *to,
                per_request: calls.count / served,
                waits: calls.queued * 2.0 < calls.count,
                passes: if calls.failed >= FAILED { calls.passed / calls.failed } else { f64::NAN },
                timeout: if calls.late > 0.0 { calls.waited_s / calls.late } else { f64::NAN },
            });
        }
    }
}

fn add_stores(
    system: &mut System,
    at: &BTreeMap<String, usize>,
    traffic: &Traffic,
    courses: &BTreeMap<Arc<str>, Course>,
) {
    let hosts: BTreeMap<&str, f64> = courses
        .iter()
        .filter_map(|(entity, course)| Some((entity.rsplit('/').next()?, course.store_most?)))
        .collect();
    for ((caller, store), (calls, seconds)) in &traffic.stores {
        let name = store.strip_prefix("Database/").unwrap_or(store);
        let host = names::store_host(name);
        let served = traffic.served.get(caller).copied().unwrap_or(0.0);
        let Some(from) = at.get(caller.as_ref()).filter(|_| served >= SHOWN) else { continue };
        let store = system.stores.iter().position(|s| s.entity == host).unwrap_or_else(|| {
            let most = hosts.get(host).copied().unwrap_or(f64::NAN);
            system.stores.push(Store { entity: host.to_owned(), most, clients: Vec::new() });
            system.stores.len() - 1
        });
        system.stores[store].clients.push((*from, calls / served, seconds / calls.max(1e-9)));
        let own: &mut Service = &mut system.services[*from];
        if let Some(pool) = courses.get(own.entity.as_str()).and_then(|course| course.pool_of(host)) {
            own.pools.push((store, pool));
        }
    }
}
