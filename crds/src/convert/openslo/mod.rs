//! OpenSLO v1, in and out.
//!
//! What our fields can say goes into them. Where a document says more, it is kept as it was in an annotation; writing it out
//! again gives the same document as long as nobody changed what was made of it.

mod export;
mod import;

pub use export::export;
pub(super) use import::import;

const VERSION: &str = "openslo/v1";
/// The name that people read; ObjectMeta has none.
const DISPLAY_NAME: &str = "openslo.com/display-name";
/// Documents that an object was made of, where they say more than it does.
const DOCUMENTS: &str = "openslo.com/documents";
/// Which objective of the document it is, where there are several.
const OBJECTIVE: &str = "openslo.com/objective";
/// Fields that OpenSLO has no place for.
const FIELDS: &str = "causeway.dev/fields";
/// Type of a metric source that is ours.
const OURS: &str = "causeway";
