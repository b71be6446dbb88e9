//! A token bucket on an injected clock.

use causeway_model::Micros;
use parking_lot::Mutex;

/// Allows `rate` records a second with one second's worth as a burst. A batch that is larger than what is left passes
/// and is paid back afterwards, so that no size of batch is impossible to send.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Records in stock, negative while a batch is paid back.
    stock: f64,
    at_us: Micros,
}

impl Bucket {
    pub(crate) fn new(rate: u32, now_us: Micros) -> Self {
        Self { rate, state: Mutex::new(State { stock: f64::from(rate), at_us: now_us }) }
    }

    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// Whether anything may be sent now; otherwise the milliseconds to wait.
    pub(crate) fn check(&self, now_us: Micros) -> Result<(), u64> {
        let mut state = self.state.lock();
        let rate = f64::from(self.rate);
        let elapsed = (now_us - state.at_us).max(0) as f64 / 1e6;
        state.stock = (state.stock + elapsed * rate).min(rate);
        state.at_us = now_us;
        if state.stock > 0.0 {
            return Ok(());
        }
        if self.rate == 0 {
            return Err(60_000);
        }
        Err(((-state.stock / rate * 1e3).ceil() as u64).clamp(1, 60_000))
    }

    /// Takes records out of the stock.
    pub(crate) fn charge(&self, records: usize) {
        self.state.lock().stock -= records as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::Bucket;

    #[test]
    fn large_batches_pass_and_are_paid_back() {
        let bucket = Bucket::new(10, 0);
        assert_eq!(bucket.check(0), Ok(()));
        bucket.charge(40);
        assert_eq!(bucket.check(0), Err(3_000));
        assert_eq!(bucket.check(2_000_000), Err(1_000));
        assert_eq!(bucket.check(3_000_001), Ok(()));
        assert_eq!(bucket.check(1_000_000), Ok(()), "a clock that goes back takes nothing away");
        assert_eq!(Bucket::new(0, 0).check(9), Err(60_000));
    }
}
