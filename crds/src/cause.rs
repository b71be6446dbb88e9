//! The classes of causes that runbooks are written for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// Class of a root cause.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum CauseKind { $($(#[doc = $doc])+ $name,)+ }

        impl CauseKind {
            /// Every class there is.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name as it stands in specs and in the status of an Incident.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }
        }
    };
}

causes! {
    /// A release changed the behaviour.
    BadRelease,
    /// A changed configuration value.
    BadConfig,
    /// Demand exceeds capacity.
    Saturation,
    /// One running instance misbehaves.
    FaultyInstance,
    /// The network to or from an instance is slow or loses packets.
    NetworkDelay,
    /// Something that the service needs is down.
    DependencyDown,
    /// An error in the code that no change explains.
    CodeFault,
    /// Memory grows until the limit.
    MemoryLeak,
    /// Containers start and die again.
    CrashLoop,
    /// A rollout does not go on.
    StuckRollout,
    /// A disk or volume is full.
    DiskFull,
    /// A pool of connections is used up.
    ConnectionPool,
    /// A queue grows faster than it is worked off.
    QueueGrowth,
    /// A node runs out of memory, disk or process ids.
    NodePressure,
    /// A certificate runs out.
    CertificateExpiry,
    /// No class fits.
    Unknown,
}
