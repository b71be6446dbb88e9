use causeway_causal::case::{Case, Change, ChangeKind, FieldDiff};
use causeway_causal::draft::{ExplanationError, Severity, build, change_line, verify_explanation};
use causeway_causal::group::{Finding, GroupConfig, GroupEvent};
use causeway_causal::grouper::Grouper;
use causeway_causal::impact::{Impact, Share, revenue_at_risk};
use causeway_causal::rank::rank;
use causeway_causal::ranking::CauseClass;

use crate::made::{Fault, MINUTE, START, lines, shop, traces};

/// One value of a ConfigMap changes, and orders fail in another service 40 s later.
fn tax_rate() -> Case {
    let mut case = shop(Fault::Failing("tax"), 0, &|n| n.to_owned());
    traces(&mut case, 50, 0, 0, false);
    traces(&mut case, 50, 0, 0, true);
    lines(&mut case, 40, "ERROR tax.py:41 total {} out of range", true);
    let (tax, search) = (case.names.intern("tax"), case.names.intern("search"));
    let at = START + 4 * MINUTE;
    let change = |entity, object: &str, time_us, path: &str, old: &str, new: &str| Change {
        time_us,
        entity,
        object: object.to_owned(),
        kind: ChangeKind::Config,
        description: "config pushed".to_owned(),
        diff: vec![FieldDiff { path: path.to_owned(), old: old.to_owned(), new: new.to_owned() }],
        author: "ci-bot".to_owned(),
        frozen_by: String::new(),
    };
    // An innocent change of a service without a symptom, closer in time.
    case.changes.push(change(search, "ConfigMap/shop/search", at + 20_000_000, "data.page", "20", "30"));
    case.changes.push(change(tax, "ConfigMap/shop/tax-rates", at - 40_000_000, "data.NL", "0.21", "2.1"));
    case
}

fn group() -> Grouper {
    let mut grouper = Grouper::new(GroupConfig::default());
    grouper.open(Finding {
        id: "f1".to_owned(),
        scope: "shop".to_owned(),
        entity: "web".to_owned(),
        signal: "availability".to_owned(),
        symptom: true,
        traffic_drop: false,
        severity: 5.0,
        opened_us: START + 5 * MINUTE,
        closed_us: None,
        baseline: Some(99.9),
        observed: Some(80.0),
        unit: "pct".to_owned(),
        note: String::new(),
        query: None,
    });
    grouper
}

#[test]
fn the_incident_names_object_field_values_author_line_and_frame() {
    let case = tax_rate();
    let ranking = rank(&case);
    let mut grouper = group();
    assert_eq!(grouper.tick(START + 5 * MINUTE, &|_| Vec::new()), [GroupEvent::Opened(0)]);
    let impact = Impact {
        services: vec!["checkout".to_owned(), "tax".to_owned(), "web".to_owned()],
        entry_points: vec!["web".to_owned()],
        request_share: Some(0.2),
        error_budget_per_hour: None,
        requests: None,
    };
    let money = revenue_at_risk("EUR", 1_500_000.0, Share::exact(0.2), 600.0, &["flat revenue"]);
    let draft = build(grouper.group(0).expect("group"), &case, &ranking, impact, Some(money));
    assert_eq!(draft.cause.kind, CauseClass::BadConfig);
    assert_eq!(draft.cause.entity, "ConfigMap/shop/tax-rates");
    assert_eq!(draft.cause.change, "data.NL: 0.21 -> 2.1 by ci-bot");
    assert!(!draft.abstained && draft.severity == Severity::Sev2);
    assert_eq!(draft.path, ["tax", "checkout", "web"]);
    let text: String = draft.explanation.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join("\n");
    for part in
        ["ConfigMap/shop/tax-rates", "data.NL: 0.21 -> 2.1", "ci-bot", "tax.py:41", "total 0 out of range"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert_eq!(verify_explanation(&draft), Ok(()));
    assert_eq!(draft.fingerprint.len(), 16);
    // The same facts give the same identity, whatever was written about them.
    let again = build(grouper.group(0).expect("group"), &case, &rank(&case), draft.impact.clone(), None);
    assert_eq!((again.fingerprint, again.signature), (draft.fingerprint.clone(), draft.signature.clone()));
}

#[test]
fn a_claim_without_evidence_is_found() {
    let case = tax_rate();
    let mut grouper = group();
    grouper.tick(START + 5 * MINUTE, &|_| Vec::new());
    let mut draft = build(grouper.group(0).expect("group"), &case, &rank(&case), Impact::default(), None);
    let honest = draft.explanation.clone();
    draft.explanation[0].text = draft.explanation[0].text.replace(" from ", " by 77.7 from ");
    assert_eq!(
        verify_explanation(&draft),
        Err(ExplanationError::Unsupported { sentence: 0, word: "77.7".to_owned() })
    );
    draft.explanation.clone_from(&honest);
    draft.explanation[0].evidence = vec!["e99".to_owned()];
    assert!(matches!(verify_explanation(&draft), Err(ExplanationError::NoSuchEvidence { .. })));
    draft.explanation.clone_from(&honest);
    draft.explanation[1].evidence.clear();
    assert_eq!(verify_explanation(&draft), Err(ExplanationError::Uncited { sentence: 1 }));
}

#[test]
fn a_change_alone_is_no_cause() {
    let mut case = tax_rate();
    let innocent = shop(Fault::None, 0, &|n| n.to_owned());
    case.series = innocent.series;
    case.logs.clear();
    let ranking = rank(&case);
    assert!(ranking.abstained);
}

#[test]
fn changes_read_well() {
    let case = tax_rate();
    assert_eq!(change_line(&case.changes[0]), "data.page: 20 -> 30 by ci-bot");
}

#[test]
fn an_abstaining_draft_names_nothing() {
    let case = shop(Fault::None, 0, &|n| n.to_owned());
    let mut grouper = group();
    grouper.tick(START + 5 * MINUTE, &|_| Vec::new());
    let draft = build(grouper.group(0).expect("group"), &case, &rank(&case), Impact::default(), None);
    assert!(draft.abstained && draft.cause.entity.is_empty());
    assert_eq!(verify_explanation(&draft), Ok(()));
}
