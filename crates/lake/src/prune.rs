//! What a filter says of times, and which filters may run before the namespace check.

use causeway_model::Micros;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// Times that rows passing all filters can have, both ends included. Wider than needed is allowed, narrower never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeBounds {
    pub(crate) from: Micros,
    pub(crate) to: Micros,
}

impl TimeBounds {
    /// Bounds from a conjunction of filters; what is not understood does not narrow.
    pub(crate) fn of(filters: &[Expr]) -> Self {
        let mut bounds = Self { from: Micros::MIN, to: Micros::MAX };
        filters.iter().for_each(|filter| bounds.narrow(filter));
        bounds
    }

    /// Whether a file of these times can have a passing row.
    pub(crate) fn touch(&self, min_us: Micros, max_us: Micros) -> bool {
        min_us <= self.to && self.from <= max_us
    }

    fn narrow(&mut self, filter: &Expr) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.narrow(left);
                self.narrow(right);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (op, literal) = match (is_time(left), is_time(right)) {
                    (true, false) => (Some(*op), right),
                    (false, true) => (op.swap(), left),
                    _ => return,
                };
                if let (Some(op), Some((floor, ceil))) = (op, micros(literal)) {
                    self.apply(op, floor, ceil);
                }
            }
            Expr::Between(between) if !between.negated && is_time(&between.expr) => {
                if let Some((floor, _)) = micros(&between.low) {
                    self.from = self.from.max(floor);
                }
                if let Some((_, ceil)) = micros(&between.high) {
                    self.to = self.to.min(ceil);
                }
            }
            _ => {}
        }
    }

    fn apply(&mut self, op: Operator, floor: Micros, ceil: Micros) {
        if matches!(op, Operator::Gt | Operator::GtEq | Operator::Eq) {
            self.from = self.from.max(floor);
        }
        if matches!(op, Operator::Lt | Operator::LtEq | Operator::Eq) {
            self.to = self.to.min(ceil);
        }
    }
}

fn is_time(expr: &Expr) -> bool {
    match expr {
        Expr::Column(column) => column.name == "time",
        Expr::Cast(cast) => is_time(&cast.expr),
        _ => false,
    }
}

/// A time literal in microseconds, rounded down and up.
fn micros(expr: &Expr) -> Option<(Micros, Micros)> {
    let Expr::Literal(value, _) = expr else { return None };
    match value {
        ScalarValue::TimestampSecond(Some(v), _) => v.checked_mul(1_000_000).map(|v| (v, v)),
        ScalarValue::TimestampMillisecond(Some(v), _) => v.checked_mul(1_000).map(|v| (v, v)),
        ScalarValue::TimestampMicrosecond(Some(v), _) => Some((*v, *v)),
        ScalarValue::TimestampNanosecond(Some(v), _) => {
            let floor = v.div_euclid(1000);
            Some((floor, floor + i64::from(v.rem_euclid(1000) != 0)))
        }
        _ => None,
    }
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Whether evaluating the filter on rows that the caller may not see can tell nothing about them: comparisons of a
/// column with a literal can't fail, whereas the error text of, say, a cast quotes the value.
pub(crate) fn cannot_fail(filter: &Expr) -> bool {
    let plain = |e: &Expr| matches!(e, Expr::Column(_));
    let literal = |e: &Expr| matches!(e, Expr::Literal(..));
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            cannot_fail(left) && cannot_fail(right)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            compares(*op) && ((plain(left) && literal(right)) || (literal(left) && plain(right)))
        }
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => plain(inner),
        Expr::InList(list) => plain(&list.expr) && list.list.iter().all(literal),
        Expr::Not(inner) => cannot_fail(inner),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn at(us: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())))
    }

    #[test]
    fn bounds_follow_the_filters() {
        let ns = lit(ScalarValue::TimestampNanosecond(Some(1_500), None));
        for (filters, from, to) in [
            (vec![], i64::MIN, i64::MAX),
            (vec![col("time").gt(at(5)), col("time").lt_eq(at(9))], 5, 9),
            (vec![at(5).lt(col("time")).and(col("body").eq(lit("x")))], 5, i64::MAX),
            (vec![col("time").between(at(1), at(2))], 1, 2),
            (vec![col("time").not_between(at(1), at(2))], i64::MIN, i64::MAX),
            (vec![col("time").gt(at(5)).or(col("time").lt(at(2)))], i64::MIN, i64::MAX),
            (vec![col("time").eq(ns)], 1, 2),
            (vec![col("observed_time").gt(at(5))], i64::MIN, i64::MAX),
        ] {
            assert_eq!(TimeBounds::of(&filters), TimeBounds { from, to }, "{filters:?}");
        }
        let bounds = TimeBounds { from: 5, to: 9 };
        assert_eq!(
            [(0, 4), (0, 5), (9, 20), (10, 20)].map(|(a, b)| bounds.touch(a, b)),
            [false, true, true, false]
        );
    }

    #[test]
    fn only_plain_comparisons_come_before_the_namespace_check() {
        assert!(cannot_fail(&col("a").eq(lit(1)).and(col("b").is_null())));
        assert!(cannot_fail(&col("a").in_list(vec![lit(1)], false)));
        assert!(!cannot_fail(&col("a").eq(lit(1)).and((lit(1) / col("a")).eq(lit(1)))));
        assert!(!cannot_fail(&col("a").eq(col("b"))));
    }
}
