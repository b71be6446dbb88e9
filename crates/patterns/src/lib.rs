//! Groups message texts into templates with content-hashed ids.
//!
//! A line loses the header of its stream ([`Layout`]), then every value that is one by its form (numbers,
//! addresses, paths, times: [`VariableClass`]); what is left is a skeleton. Skeletons of one shape that
//! differ in one word become one template when that word was seen to vary enough; the rules look at sets,
//! so the order of arrival does not matter. The id of a template is the hash of its text.
//!
//! The approach is in the family of Drain (He et al., ICWS 2017: fixed structure first, then similarity)
//! and Logram (Dai et al., TSE 2020: rare neighbours are variables); unlike those it needs no threshold per
//! system, and its result does not depend on order.
//!
//! ```
//! let mut miner = causeway_patterns::Miner::default();
//! let a = miner.observe("shop", "order 17 paid after 31ms");
//! let b = miner.observe("shop", "order 18 paid after 7ms");
//! assert_eq!(a.template, b.template);
//! assert_eq!(miner.template(a.template), Some("order <*> paid after <*>"));
//! ```

mod generalise;
mod header;
mod mask;
mod miner;
pub mod offline;
mod shape;
mod skeleton;
mod store;
mod stream;
mod trace;
mod units;
mod value;

pub use header::{Column, Layout, Stripped};
pub use miner::{HeaderMode, Miner, MinerConfig, MinerSnapshot, Observation, Template, Variable};
pub use skeleton::{PLACEHOLDER, TemplateId};
pub use store::Alias;
pub use value::VariableClass;
