//! States that are wrong in themselves, whatever is usual: what Kubernetes says of a container, a pod or a node, a
//! certificate that runs out, a disk that fills.

use serde::{Deserialize, Serialize};

use crate::ranking::CauseClass;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StateKind {
    /// A container ends again and again.
    CrashLoop,
    /// A container was killed because it used more memory than its limit.
    OutOfMemory,
    /// An image can't be pulled.
    ImagePull,
    /// No node takes a pod.
    Unschedulable,
    /// A node does not answer, or says that it can't run pods.
    NodeNotReady,
    /// A certificate runs out soon.
    CertificateExpiry,
    /// A disk is full, or will be soon.
    DiskFilling,
    /// A rollout has not gone on for longer than its deadline.
    StuckRollout,
    /// A node runs out of memory, disk or process ids.
    NodePressure,
    /// Messages come faster than they are worked off, and have for a while.
    QueueGrowth,
}

impl StateKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::CrashLoop,
        Self::OutOfMemory,
        Self::ImagePull,
        Self::Unschedulable,
        Self::NodeNotReady,
        Self::CertificateExpiry,
        Self::DiskFilling,
        Self::StuckRollout,
        Self::NodePressure,
        Self::QueueGrowth,
    ];

    /// Its name as a signal, such as `state:CrashLoop`.
    pub fn signal(self) -> &'static str {
        match self {
            Self::CrashLoop => "state:CrashLoop",
            Self::OutOfMemory => "state:OutOfMemory",
            Self::ImagePull => "state:ImagePull",
            Self::Unschedulable => "state:Unschedulable",
            Self::NodeNotReady => "state:NodeNotReady",
            Self::CertificateExpiry => "state:CertificateExpiry",
            Self::DiskFilling => "state:DiskFilling",
            Self::StuckRollout => "state:StuckRollout",
            Self::NodePressure => "state:NodePressure",
            Self::QueueGrowth => "state:QueueGrowth",
        }
    }

    /// The kind of a signal; `None` for signals that are no states.
    pub fn of_signal(signal: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.signal() == signal)
    }

    /// What it is the symptom of when nothing else explains it.
    pub fn class(self) -> CauseClass {
        match self {
            Self::CrashLoop => CauseClass::CrashLoop,
            Self::OutOfMemory => CauseClass::OutOfMemory,
            // What was released names an image that is not there.
            Self::ImagePull => CauseClass::BadRelease,
            Self::Unschedulable => CauseClass::Saturation,
            Self::DiskFilling => CauseClass::DiskFull,
            Self::StuckRollout => CauseClass::StuckRollout,
            Self::NodePressure => CauseClass::NodePressure,
            Self::QueueGrowth => CauseClass::QueueGrowth,
            Self::NodeNotReady => CauseClass::FaultyInstance,
            Self::CertificateExpiry => CauseClass::CertificateExpiry,
        }
    }

    /// How long it has to last before it counts, microseconds of `now`: a new node comes within two minutes, a node or
    /// a registry that hiccups is back soon.
    pub fn hold_us(self) -> i64 {
        match self {
            Self::Unschedulable => 120_000_000,
            Self::NodeNotReady | Self::ImagePull | Self::NodePressure => 30_000_000,
            Self::CrashLoop
            | Self::OutOfMemory
            | Self::CertificateExpiry
            | Self::DiskFilling
            | Self::StuckRollout
            | Self::QueueGrowth => 0,
        }
    }

    /// Whether a release or a configuration may have made it.
    pub fn comes_of_changes(self) -> bool {
        matches!(self, Self::CrashLoop | Self::OutOfMemory | Self::ImagePull | Self::Unschedulable)
    }

    /// How sure it is that the state is the cause when the ranking names none, 0 to 1, set by hand: most states say
    /// themselves what is wrong; a container that ends does not say why.
    pub fn confidence(self) -> f64 {
        match self {
            Self::CrashLoop | Self::QueueGrowth => 0.7,
            Self::OutOfMemory
            | Self::ImagePull
            | Self::Unschedulable
            | Self::NodeNotReady
            | Self::CertificateExpiry
            | Self::DiskFilling
            | Self::StuckRollout
            | Self::NodePressure => 0.9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_leads_back_to_its_kind() {
        for kind in StateKind::ALL {
            assert_eq!(StateKind::of_signal(kind.signal()), Some(kind));
        }
        assert_eq!(StateKind::of_signal("latency"), None);
    }
}
