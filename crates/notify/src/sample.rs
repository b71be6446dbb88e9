//! Notices for tests.

use jiff::Timestamp;

use crate::notice::{
    IncidentNotice, IncidentState, Link, Prediction, RemediationNotice, Severity, Statement, Times,
};

/// A moment, `seconds` after 2026-11-27 19:58:00 UTC.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_809_480 + seconds).unwrap()
}

pub(crate) fn mitigating() -> IncidentNotice {
    IncidentNotice {
        id: "7f3a9c".to_owned(),
        name: "checkout-7f3a".to_owned(),
        namespace: "shop".to_owned(),
        severity: Severity::Critical,
        state: IncidentState::Mitigating,
        title: "checkout: 12 % of requests fail".to_owned(),
        service: "shop/checkout".to_owned(),
        cause: Some("ConfigMap shop/tax-rates changed data.NL from 0.21 to 2.1.".to_owned()),
        confidence: Some(0.91),
        evidence: vec![
            Statement {
                text: "Tax lookup for NL returned 2.1 from 19:58:04.".to_owned(),
                evidence: vec!["e1".to_owned(), "e3".to_owned()],
            },
            Statement {
                text: "The value changed in revision 4c1e 40 s before.".to_owned(),
                evidence: vec!["e2".to_owned()],
            },
        ],
        impact: Some("6 services, 41800 users, 19 % of the error budget an hour.".to_owned()),
        remediation: Some(RemediationNotice {
            name: "checkout-7f3a-1".to_owned(),
            phase: "AwaitingApproval".to_owned(),
            action: "Revert ConfigMap shop/tax-rates to its last good data.".to_owned(),
            effect: String::new(),
            diff: " data:\n-  NL: \"2.1\"\n+  NL: \"0.21\"\n".to_owned(),
        }),
        escalated: None,
        links: vec![
            Link {
                label: "Console".to_owned(),
                url: "https://console.example.com/i/7f3a?a=1&b=2".to_owned(),
            },
            Link { label: "Bad".to_owned(), url: "javascript:alert(1)".to_owned() },
        ],
        predicted: None,
        times: Times { opened: at(0), updated: at(70), resolved: None },
    }
}

pub(crate) fn predicted() -> IncidentNotice {
    IncidentNotice {
        state: IncidentState::Predicted,
        severity: Severity::Warning,
        title: "pricing runs out of memory".to_owned(),
        service: "shop/pricing".to_owned(),
        cause: None,
        confidence: None,
        evidence: Vec::new(),
        impact: None,
        remediation: None,
        links: Vec::new(),
        predicted: Some(Prediction { probability: 0.87, deadline: at(1620) }),
        ..mitigating()
    }
}

pub(crate) fn resolved() -> IncidentNotice {
    let mut notice = mitigating();
    notice.state = IncidentState::Resolved;
    notice.times.resolved = Some(at(600));
    notice.times.updated = at(600);
    notice
}
