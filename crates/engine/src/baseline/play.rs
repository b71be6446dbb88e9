//! Plays what was stored through a Baseline.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use causeway_model::{Completeness, Finding, LogSample, Micros, TemplateCount, Window};

use super::{Baseline, BaselineConfig, Content};
use crate::peak::Calendar;
use crate::simulate::Past;

/// A stretch of what was stored, ready to be played.
pub(crate) struct Play {
    texts: AHashMap<u64, Arc<str>>,
}

impl Play {
    pub(crate) fn new(config: &BaselineConfig, past: &BTreeMap<Micros, Past>) -> Self {
        // Stored lines contain the text already; whatever their template is called.
        let texts = config.text().map_or_else(AHashMap::new, |text| {
            let templates =
                past.values().flat_map(|past| past.lines.iter().map(|(_, template, _)| *template));
            templates.map(|template| (template, Arc::from(text))).collect()
        });
        Self { texts }
    }

    /// Plays the point that begins at `start_us`. Gives the findings that open or close.
    pub(crate) fn point(
        &self,
        baseline: &mut Baseline,
        namespace: &str,
        start_us: Micros,
        past: &Past,
        calendar: &Calendar,
        completeness: Completeness,
    ) -> Vec<Finding> {
        let window = Window { start_us, end_us: start_us + baseline.config.resolution_us };
        let mut series = past.series.clone();
        series.sort_by(|(a, _), (b, _)| a.cmp(b));
        let templates: Vec<TemplateCount> = past.lines.iter().map(|line| lines(line, start_us)).collect();
        let content = Content { series: &series, templates: &templates, texts: &self.texts };
        baseline.take(namespace, window, &content, calendar, completeness)
    }
}

fn lines((service, template, count): &(String, u64, u64), time_us: Micros) -> TemplateCount {
    TemplateCount {
        service: service.as_str().into(),
        template: *template,
        severity: 0,
        count: *count,
        first: LogSample { time_us, body: "".into(), trace_id: "".into() },
    }
}
