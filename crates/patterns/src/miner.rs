//! The online miner: one line in, one template id out.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::header::Layout;
use crate::skeleton::{KeyBuilder, Part, TemplateId, parse};
use crate::store::{Alias, Slot, Store};
use crate::stream::Stream;
use crate::trace;
use crate::value::{VariableClass, classify};

/// Whether the miner looks for headers in the lines of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderMode {
    /// Learn each stream's header from its first lines and take it off.
    #[default]
    Detect,
    /// Lines are messages already.
    Off,
}

/// Limits of a [`Miner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinerConfig {
    /// Templates kept. When full, the eighth that was not seen for longest is forgotten.
    pub max_templates: usize,
    /// Streams whose header is learned; lines of further streams are taken as messages.
    pub max_streams: usize,
    /// Header detection.
    pub headers: HeaderMode,
}

impl Default for MinerConfig {
    /// 16,384 templates, 4,096 streams, header detection on.
    fn default() -> Self {
        Self { max_templates: 16_384, max_streams: 4_096, headers: HeaderMode::Detect }
    }
}

/// What a line turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Its template now; a later alias may point on from it.
    pub template: TemplateId,
    /// Whether this id is reported for the first time (its text should be recorded).
    pub is_new: bool,
    /// Whether templates gave way to wider ones: collect them with [`Miner::take_aliases`].
    pub generalised: bool,
}

/// A variable part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable<'a> {
    /// What it looks like.
    pub class: VariableClass,
    /// Its text in the message.
    pub text: &'a str,
}

/// A template as listed by [`Miner::templates`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Hash of the text.
    pub id: TemplateId,
    /// Text with `<*>` for variables; several lines for a stack trace.
    pub text: String,
    /// Lines seen, those of templates that gave way to this one included.
    pub count: u64,
}

/// State of a [`Miner`], for storage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MinerSnapshot {
    config: MinerConfig,
    slots: Vec<Slot>,
    aliases: Vec<Alias>,
    streams: Vec<(String, Stream)>,
    observed: u64,
}

/// Groups messages into templates, online and with bounded memory.
///
/// Two miners that saw the same messages in different orders assign the same ids once aliases are
/// resolved. Limits of that promise: it needs room for all templates ([`MinerConfig::max_templates`]) and
/// for all variants of one shape (512), and a header layout that does not depend on which 64 lines of a
/// stream came first.
#[derive(Debug)]
pub struct Miner {
    config: MinerConfig,
    store: Store,
    streams: HashMap<String, Stream, ahash::RandomState>,
    key: KeyBuilder,
    observed: u64,
}

impl Default for Miner {
    fn default() -> Self {
        Self::new(MinerConfig::default())
    }
}

/// Fixed seeds: the tier has no randomness.
fn hasher() -> ahash::RandomState {
    ahash::RandomState::with_seeds(1, 2, 3, 4)
}

impl Miner {
    /// An empty miner.
    #[must_use]
    pub fn new(config: MinerConfig) -> Self {
        let store = Store::new(config.max_templates);
        Self {
            config,
            store,
            streams: HashMap::with_hasher(hasher()),
            key: KeyBuilder::default(),
            observed: 0,
        }
    }

    /// Assigns a line of the stream `service` to a template. Cost: O(length), one hash lookup; a masked
    /// text that was never seen is compared with those of equal shape.
    pub fn observe(&mut self, service: &str, message: &str) -> Observation {
        self.observed += 1;
        let (body, learning) = match self.streams.get_mut(service) {
            _ if self.config.headers == HeaderMode::Off => (message, false),
            Some(s) => (s.take(message), s.is_learning()),
            None => (message, self.streams.len() < self.config.max_streams),
        };
        let at = self.assign(body);
        let now = self.observed;
        let slot = self.store.slot(at);
        slot.count += 1;
        slot.seen = now;
        let is_new = !std::mem::replace(&mut slot.reported, true);
        let template = slot.id;
        if learning {
            self.learn(service, message, template);
        }
        Observation { template, is_new, generalised: self.store.has_fresh_aliases() }
    }

    /// The message without the header of its stream, as far as that is known.
    #[must_use]
    pub fn body<'a>(&self, service: &str, message: &'a str) -> &'a str {
        if self.config.headers == HeaderMode::Off {
            return message;
        }
        self.streams.get(service).map_or(message, |s| s.strip(message))
    }

    /// Fixes the header layout of a stream, `None` for lines without a header.
    pub fn set_layout(&mut self, service: &str, layout: Option<Layout>) {
        self.streams.insert(service.to_owned(), Stream::fixed(layout));
    }

    /// The template that a message has now, without counting it; `None` if it has none yet.
    #[must_use]
    pub fn classify(&self, service: &str, message: &str) -> Option<TemplateId> {
        let body = self.body(service, message);
        if let Some(text) = trace::template(body) {
            return self.store.by_id(TemplateId::of(&text)).map(|s| s.id);
        }
        let parsed = parse(body);
        let at = self.store.covering(&parsed.skeleton)?;
        self.store.skeleton(at).map(|s| TemplateId::of(&s.text()))
    }

    /// The variable parts of a message, left to right, typed. A stack trace has none.
    #[must_use]
    pub fn variables<'a>(&self, service: &str, message: &'a str) -> Vec<Variable<'a>> {
        let body = self.body(service, message);
        if trace::template(body).is_some() {
            return Vec::new();
        }
        let parsed = parse(body);
        let template = self.store.covering(&parsed.skeleton).and_then(|at| self.store.skeleton(at));
        let parts = &template.unwrap_or(&parsed.skeleton).parts;
        let varies = parts.iter().zip(parsed.spans).filter(|(p, _)| !matches!(p, Part::Word(_)));
        varies
            .filter_map(|(_, span)| body.get(span))
            .map(|text| Variable { class: classify(text.as_bytes()), text })
            .collect()
    }

    /// Text of a template, by its id or the id of one that gave way to it.
    #[must_use]
    pub fn template(&self, id: TemplateId) -> Option<&str> {
        self.store.by_id(self.store.resolve(id)).map(|s| &*s.text)
    }

    /// Lines counted for a template, by its id or the id of one that gave way to it.
    #[must_use]
    pub fn count(&self, id: TemplateId) -> u64 {
        self.store.by_id(self.store.resolve(id)).map_or(0, |s| s.count)
    }

    /// All templates with at least one line.
    pub fn templates(&self) -> impl Iterator<Item = Template> + '_ {
        let shown = self.store.alive().filter(|s| s.count > 0);
        shown.map(|s| Template { id: s.id, text: s.text.to_string(), count: s.count })
    }

    /// Number of templates held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether no template is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store.len() == 0
    }

    /// The id that speaks for `id` now; `id` itself if nothing took over.
    #[must_use]
    pub fn resolve(&self, id: TemplateId) -> TemplateId {
        self.store.resolve(id)
    }

    /// All aliases, old id to the id that speaks for it now.
    pub fn aliases(&self) -> impl Iterator<Item = Alias> + '_ {
        self.store.aliases()
    }

    /// Aliases since the last call, in the order in which they arose; at most four times
    /// [`MinerConfig::max_templates`] wait, what comes after is only in [`Miner::aliases`].
    pub fn take_aliases(&mut self) -> Vec<Alias> {
        self.store.take_aliases()
    }

    /// The whole state, for storage. Aliases not yet taken count as taken.
    #[must_use]
    pub fn snapshot(&self) -> MinerSnapshot {
        let (slots, aliases) = self.store.export();
        let mut streams: Vec<_> = self.streams.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        streams.sort_by(|a, b| a.0.cmp(&b.0));
        MinerSnapshot { config: self.config, slots, aliases, streams, observed: self.observed }
    }

    /// A miner that goes on where the snapshot was taken.
    #[must_use]
    pub fn restore(snapshot: MinerSnapshot) -> Self {
        let mut m = Self::new(snapshot.config);
        m.store = Store::import(snapshot.config.max_templates, snapshot.slots, snapshot.aliases);
        m.streams.extend(snapshot.streams);
        m.observed = snapshot.observed;
        m
    }

    fn assign(&mut self, body: &str) -> u32 {
        if let Some(text) = trace::template(body) {
            return self.store.trace(text, self.observed);
        }
        let key = self.key.key(body);
        if let Some(at) = self.store.cached(key) {
            return at;
        }
        let at = self.store.insert(&parse(body).skeleton, self.observed);
        self.store.remember(key, at);
        at
    }

    /// Lets the stream learn from a line; when that changes its layout, earlier lines move.
    fn learn(&mut self, service: &str, message: &str, template: TemplateId) {
        if !self.streams.contains_key(service) {
            self.streams.insert(service.to_owned(), Stream::default());
        }
        let Some(stream) = self.streams.get_mut(service) else { return };
        for (line, old) in stream.learn(message, template) {
            let body = self.body(service, &line).to_owned();
            let at = self.assign(&body);
            self.store.reassign(old, at);
        }
    }
}
