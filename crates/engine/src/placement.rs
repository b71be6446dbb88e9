//! Where workloads run and which addresses are theirs, as Kubernetes says; and the addresses of calls, turned into the
//! service that had them at that time.

use std::collections::BTreeMap;
use std::net::IpAddr;

use causeway_causal::topology::{EntityId, EntityKind, Topology};
use causeway_model::Micros;
use serde::{Deserialize, Serialize};

use crate::calls::service;

/// One running instance of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Placement {
    /// Service as in telemetry.
    pub service: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of its node; empty while it has none.
    pub node: String,
    /// Its addresses; empty on the host's network, where they are the node's.
    pub addresses: Vec<String>,
}

/// What is placed now, and since when each address belongs to whom.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Placements {
    live: Vec<Placement>,
    addresses: BTreeMap<String, (EntityId, Micros)>,
}

impl Placements {
    /// What runs now.
    pub(crate) fn live(&self) -> &[Placement] {
        &self.live
    }

    /// Replaces all of them at `now_us`. What an address was until now goes into the topology.
    pub(crate) fn set(&mut self, mut live: Vec<Placement>, now_us: Micros, topology: &mut Topology) {
        live.sort();
        let mut owners: BTreeMap<String, Option<EntityId>> = BTreeMap::new();
        for placement in &live {
            for address in &placement.addresses {
                let owner = service(&placement.service);
                // Of two pods that claim one address, one is about to go: it belongs to nobody until then.
                let known = owners.entry(address.clone()).or_insert_with(|| Some(owner.clone()));
                if known.as_ref() != Some(&owner) {
                    *known = None;
                }
            }
        }
        let before = std::mem::take(&mut self.addresses);
        for (address, (owner, since)) in before {
            if owners.get(&address).and_then(Option::as_ref) == Some(&owner) {
                self.addresses.insert(address, (owner, since));
            } else {
                topology.observe_address(&address, &owner, since, now_us);
            }
        }
        for (address, owner) in owners {
            if let Some(owner) = owner {
                self.addresses.entry(address).or_insert((owner, now_us));
            }
        }
        self.live = live;
    }

    /// Notes at the end of each window what runs where.
    pub(crate) fn observe(&self, at_us: Micros, topology: &mut Topology) {
        for placement in &self.live {
            let pod = EntityId::new(EntityKind::Pod, &placement.namespace, &placement.pod);
            let service = service(&placement.service);
            topology.observe_placement(&service, &pod, at_us);
            if !placement.node.is_empty() {
                let node = EntityId::new(EntityKind::Node, "", &placement.node);
                topology.observe_placement(&pod, &node, at_us);
                // The short way, so that a change of the node counts for what runs on it.
                topology.observe_placement(&service, &node, at_us);
            }
        }
    }

    /// Adds calls to an address; `true` when they made an edge.
    pub(crate) fn call(
        &self,
        caller: &EntityId,
        address: IpAddr,
        (count, first_us, last_us): (u64, Micros, Micros),
        topology: &mut Topology,
    ) -> bool {
        let address = address.to_string();
        if let Some((owner, since)) = self.addresses.get(&address) {
            topology.observe_address(&address, owner, *since, last_us.max(*since));
        }
        topology.observe_address_call(caller, &address, count, first_us, last_us)
    }
}
