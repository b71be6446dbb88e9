//! Nothing that was foretold to do harm, unless the policy says otherwise.

use crate::effect::EffectVerdict;
use crate::guard::{Context, Verdict};
use crate::reason::Reason;
use crate::vocabulary::WhatIf;

pub(super) fn check(context: &Context<'_>) -> Verdict {
    let (view, asked) = (context.view, context.policy().map(|policy| policy.what_if).unwrap_or_default());
    let incomplete = |what: &str| Verdict::Deny(Reason::ProofIncomplete, what.into());
    let Some(effect) = &view.predicted_effect else {
        return match asked {
            WhatIf::NoPredictedHarm => incomplete("the plan does not say what it would do to its neighbours"),
            WhatIf::Ignore => Verdict::Allow,
        };
    };
    if effect.digest != effect.digest_for(&view.plan_digest) {
        return incomplete("the predicted effect is not the one of this plan");
    }
    let harms = asked == WhatIf::NoPredictedHarm && effect.verdict == EffectVerdict::Harm;
    Verdict::allow_if(!harms, Reason::PredictedHarm, || effect.summary.clone())
}
