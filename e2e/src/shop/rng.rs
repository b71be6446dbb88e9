//! A seeded generator: the same seed gives the same numbers on every machine.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng(u64);

/// A number that depends on a seed and on words only.
#[must_use]
pub fn hash(seed: u64, words: &[&str]) -> u64 {
    xxh3_64_with_seed(words.join("\u{0}").as_bytes(), seed)
}

impl Rng {
    /// A generator of its own for a purpose, so that more draws for one do not move another.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self(hash(seed, &[purpose]))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// One of `len` positions; 0 for an empty list.
    pub fn below(&mut self, len: usize) -> usize {
        if len == 0 { 0 } else { (self.bits() % len as u64) as usize }
    }

    /// Gamma with shape 4 and this mean: the spread of a request's time.
    pub fn time(&mut self, mean: f64) -> f64 {
        let sum: f64 = (0..4).map(|_| -(1.0 - self.unit()).ln()).sum();
        sum * mean / 4.0
    }

    /// Near 1: a slow random factor for rates and costs.
    pub fn about_one(&mut self, spread: f64) -> f64 {
        1.0 + spread * (2.0 * self.unit() - 1.0)
    }
}

/// Probability that a time with [`Rng::time`]'s distribution and this mean exceeds `limit`.
#[must_use]
pub fn exceeds(mean: f64, limit: f64) -> f64 {
    if mean <= 0.0 || !limit.is_finite() {
        return 0.0;
    }
    let x = 4.0 * limit / mean;
    ((-x).exp() * (1.0 + x + x * x / 2.0 + x * x * x / 6.0)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_and_the_survival_function_fits_the_draws() {
        let draw = |seed| (0..4).map(|_| Rng::new(seed, "a").bits()).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mut rng = Rng::new(7, "times");
        let times: Vec<f64> = (0..20_000).map(|_| rng.time(2.0)).collect();
        let over = times.iter().filter(|t| **t > 3.0).count() as f64 / times.len() as f64;
        assert!((over - exceeds(2.0, 3.0)).abs() < 0.01, "{over}");
        assert!((times.iter().sum::<f64>() / times.len() as f64 - 2.0).abs() < 0.03);
    }
}
