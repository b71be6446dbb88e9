//! Partials → series → detectors → topology → incidents with their cause.
//!
//! One engine serves a whole installation: it sees aggregates, never records. It is a plain value without a clock:
//! data time comes with the partials, `now` is an argument.

mod asked;
mod assemble;
mod backlog;
mod baseline;
mod bundle;
mod calls;
mod case;
mod change;
mod config;
mod course;
mod declared;
mod detect;
mod diagnose;
mod engine;
mod foresee;
mod golden;
mod groups;
mod history;
mod incident;
mod keep;
mod learned;
mod measured;
mod names;
mod noise;
mod objective;
mod peak;
mod placement;
mod recent;
mod simulate;
mod snapshot;
mod source_event;
mod state;
mod usage;
mod view;
pub mod whatif;

pub use asked::{Ask, Lesson, Question, Subject};
pub use baseline::{
    BaselineConfig, BaselineReport, BaselineState, Forecasting, Foretold, Graded, OutlookConfig,
    OutlookReport, Selector,
};
pub use bundle::{Bundle, BundleError, BundleFile, Replay, digest, with_objects};
/// What can be wrong in itself.
pub use causeway_causal::state::StateKind;
/// How the values of a series combine.
pub use causeway_model::SeriesKind;
/// What became of predictions.
pub use causeway_predict::Grade;
/// Arithmetic of error budgets, in which objectives are declared.
pub use causeway_predict::burn;
/// In which Baselines are declared.
pub use causeway_predict::{Direction, MissingData, ModelKind, Offsets, Sensitivity, WindowRule};
pub use change::{Change, ChangeClass};
pub use config::{EngineConfig, ServiceConfig};
pub use declared::Declared;
pub use detect::Point;
pub use engine::Engine;
pub use incident::{Incident, IncidentPhase, Peaks, Prediction, SymptomState};
pub use learned::{Counts, Learned, Neighbours};
pub use objective::{
    EventSource, Indicator, Labels, NotLabels, ObjectiveConfig, ObjectiveReport, ObjectiveState, Timeslices,
    underlying,
};
pub use peak::{PeakConfig, PeakReport, PeakRevenue, PeakSignal};
pub use placement::Placement;
pub use simulate::{DeclaredTime, Past, Raised, Simulation, simulate_baseline, simulate_objective};
pub use snapshot::SnapshotError;
pub use state::State;
pub use usage::CpuUse;
pub use view::GoldenView;
