//! Pages from templates. Every value is inert before a template sees it, and escaped when it is put into HTML.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, State, UndefinedBehavior, Value};
use serde_json::{Value as Json, json};

use crate::failure::Result;
use crate::inert::inert_value;

/// Letters of one value on a page.
const LIMIT: usize = 20_000;

/// The templates and their filters.
pub(crate) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    for (name, source) in [
        ("layout.html", include_str!("../templates/layout.html")),
        ("macros.html", include_str!("../templates/macros.html")),
        ("sign_in.html", include_str!("../templates/sign_in.html")),
        ("failure.html", include_str!("../templates/failure.html")),
        ("incidents.html", include_str!("../templates/incidents.html")),
        ("incident.html", include_str!("../templates/incident.html")),
        ("remediation.html", include_str!("../templates/remediation.html")),
        ("services.html", include_str!("../templates/services.html")),
        ("service.html", include_str!("../templates/service.html")),
        ("explore.html", include_str!("../templates/explore.html")),
        ("policies.html", include_str!("../templates/policies.html")),
    ] {
        environment.add_template(name, source)?;
    }
    environment.add_filter("time", time);
    environment.add_filter("clock", clock);
    environment.add_filter("age", age);
    environment.add_filter("percent", percent);
    environment.add_filter("short", short);
    environment.add_filter("words", words);
    environment.add_filter("query", |text: &str| crate::draw::encoded(text));
    Ok(environment)
}

/// A page. `pictures` are SVG of ours, by the name that the template knows them by.
pub(crate) fn page(
    environment: &Environment<'_>,
    template: &str,
    code: StatusCode,
    context: Json,
    pictures: Vec<(&'static str, Value)>,
) -> Result<Response> {
    let text = environment.get_template(template)?.render(merged(context, pictures))?;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    Ok((code, [(header::CONTENT_TYPE, kind)], text).into_response())
}

fn merged(context: Json, pictures: Vec<(&'static str, Value)>) -> BTreeMap<String, Value> {
    let Json::Object(members) = inert_value(context, LIMIT) else { return BTreeMap::new() };
    let values = members.into_iter().map(|(name, value)| (name, Value::from(Serde(value))));
    values.chain(pictures.into_iter().map(|(name, svg)| (name.to_owned(), svg))).collect()
}

/// SVG of ours, put into a page as it is.
pub(crate) fn picture(svg: String) -> Value {
    Value::from_safe_string(svg)
}

fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// `2026-11-25 16:04:09`, in UTC.
fn time(text: &str) -> String {
    parse(text).map_or_else(|| text.to_owned(), |t| t.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// `16:04:09`, in UTC.
fn clock(text: &str) -> String {
    parse(text).map_or_else(|| text.to_owned(), |t| t.strftime("%H:%M:%S").to_string())
}

/// `4 min`, by the page's `now`.
fn age(state: &State, text: &str) -> String {
    let now = state.lookup("now").and_then(|now| parse(now.as_str()?));
    let (Some(now), Some(then)) = (now, parse(text)) else { return String::new() };
    span(now.duration_since(then))
}

/// A length of time, as one number.
pub(crate) fn span(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `87 %` of a share that may be text.
fn percent(value: &Value) -> String {
    let share = value.as_str().map_or_else(|| f64::try_from(value.clone()).ok(), |text| text.parse().ok());
    share.map_or_else(String::new, |share| format!("{:.0} %", share * 100.0))
}

/// A name without its namespace.
fn short(text: &str) -> String {
    text.rsplit('/').next().unwrap_or(text).to_owned()
}

/// `Network delay` of `NetworkDelay`.
fn words(text: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for c in text.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            out.push(' ');
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
        before = c;
    }
    out
}

/// What every page is told.
pub(crate) fn common(page: &str, user: Option<&str>, now: &str) -> Json {
    json!({"page": page, "user": user, "now": now})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_valid() {
        environment().unwrap();
    }

    #[test]
    fn kinds_are_read_as_words() {
        assert_eq!([words("NetworkDelay"), words("SLOBurn"), words("")], ["Network delay", "SLOBurn", ""]);
    }

    #[test]
    fn lengths_are_one_number() {
        let text = |seconds| span(SignedDuration::from_secs(seconds));
        assert_eq!(
            [text(-5), text(119), text(120), text(7_199), text(7_200), text(172_800)],
            ["0 s", "119 s", "2 min", "119 min", "2 h", "2 d"]
        );
    }
}
