//! How many replicas a HorizontalPodAutoscaler asks for, by the use of the CPU limit.

use std::collections::VecDeque;

use super::topology::Autoscale;

/// Deviation from the target that is left alone, as in Kubernetes.
const TOLERANCE: f64 = 0.1;
/// Seconds over which the highest wish counts before replicas are taken away, as in Kubernetes.
const STABLE: u64 = 300;
/// Replicas may at most double at once.
const FASTEST: f64 = 2.0;

/// Wishes of the last minutes: second and replicas.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Autoscaler {
    wishes: VecDeque<(u64, u32)>,
}

impl Autoscaler {
    /// Replicas that are asked for, at `second` with `current` of them that use `percent` of their limit.
    pub fn wanted(&mut self, second: u64, current: u32, percent: f64, bounds: &Autoscale) -> u32 {
        let ratio = percent / f64::from(bounds.target.max(1));
        let wish = if (ratio - 1.0).abs() <= TOLERANCE || current == 0 {
            f64::from(current)
        } else {
            (f64::from(current) * ratio - 1e-9).ceil()
        };
        let wish = wish.clamp(f64::from(bounds.min), f64::from(bounds.max.max(bounds.min))) as u32;
        self.wishes.push_back((second, wish));
        while self.wishes.front().is_some_and(|(at, _)| at + STABLE < second) {
            self.wishes.pop_front();
        }
        let fastest = (f64::from(current) * FASTEST).max(4.0) as u32;
        let stable = self.wishes.iter().map(|(_, wish)| *wish).max().unwrap_or(wish);
        let wanted = if wish >= current { wish.min(fastest) } else { stable.min(current) };
        wanted.clamp(bounds.min, bounds.max.max(bounds.min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_at_once_within_its_bounds_and_shrinks_late() {
        let bounds = Autoscale { min: 2, max: 6, target: 60 };
        let mut a = Autoscaler::default();
        assert_eq!(a.wanted(0, 2, 62.0, &bounds), 2, "within the tolerance");
        assert_eq!(a.wanted(10, 2, 95.0, &bounds), 4);
        assert_eq!(a.wanted(20, 4, 100.0, &bounds), 6, "the ceiling");
        assert_eq!(a.wanted(30, 6, 20.0, &bounds), 6, "stable for five minutes");
        assert_eq!(a.wanted(400, 6, 20.0, &bounds), 2);
        assert_eq!(a.wanted(410, 1, 50.0, &bounds), 2, "the floor");
        assert_eq!(a.wanted(420, 2, 100.0, &Autoscale { min: 5, max: 9, target: 60 }), 5, "a raised floor");
    }
}
