//! Quantities of Kubernetes (`250m`, `512Mi`), read and written in the form that the API server keeps.

use crate::plan::PlanError;

/// Thousandths of a core, or of a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

/// What a quantity measures, which decides how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Cores: whole, or thousandths with `m`.
    Cpu,
    /// Bytes: whole mebibytes, with the largest suffix that leaves a whole number.
    Memory,
}

const MEBI: i128 = 1 << 20;

impl Quantity {
    /// Reads plain decimals with a suffix of the API: `n u m k M G T P E Ki Mi Gi Ti Pi Ei`. No exponents.
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || whole.len() > 15 || fraction.len() > 9 || text.len() > 24 {
            return None;
        }
        let scale = 10i128.pow(u32::try_from(fraction.len()).ok()?);
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let (times, by) = match suffix {
            "n" => (1, 1_000_000),
            "u" => (1, 1_000),
            "m" => (1, 1),
            "" => (1_000, 1),
            "k" => (1_000_000, 1),
            "M" => (1_000_000_000, 1),
            "G" => (1_000_000_000_000, 1),
            "T" => (1_000_000_000_000_000, 1),
            "P" => (1_000_000_000_000_000_000, 1),
            "E" => (1_000_000_000_000_000_000_000, 1),
            "Ki" => (1_000 << 10, 1),
            "Mi" => (1_000 << 20, 1),
            "Gi" => (1_000 << 30, 1),
            "Ti" => (1_000 << 40, 1),
            "Pi" => (1_000 << 50, 1),
            "Ei" => (1_000i128 << 60, 1),
            _ => return None,
        };
        Some(Self(ceil(digits.checked_mul(times)?, scale.checked_mul(by)?)))
    }

    /// In cores, or in bytes.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// `self * factor`, rounded up; the factor is between 0.1 and 10.
    ///
    /// # Errors
    /// A factor outside of its bounds.
    pub fn times(self, factor: f64) -> Result<Self, PlanError> {
        if !(0.1..=10.0).contains(&factor) {
            return Err(PlanError::BadParameters("a factor must be between 0.1 and 10"));
        }
        // Millionths are exact for every factor that people write.
        Ok(Self(ceil(self.0.saturating_mul((factor * 1e6).round() as i128), 1_000_000)))
    }

    /// The text that the API server keeps for it; rounded up to thousandths of a core or to mebibytes.
    pub fn write(self, unit: Unit) -> String {
        match unit {
            Unit::Cpu if self.0 % 1_000 == 0 => (self.0 / 1_000).to_string(),
            Unit::Cpu => format!("{}m", self.0),
            Unit::Memory => {
                let mut number = ceil(self.0, 1_000 * MEBI);
                let mut suffix = ["Mi", "Gi", "Ti", "Pi"].into_iter().peekable();
                let mut last = "Mi";
                while let Some(next) = suffix.next() {
                    last = next;
                    if number == 0 || number % 1024 != 0 || suffix.peek().is_none() {
                        break;
                    }
                    number /= 1024;
                }
                format!("{number}{last}")
            }
        }
    }
}

fn ceil(number: i128, by: i128) -> i128 {
    number.div_euclid(by) + i128::from(number.rem_euclid(by) > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_the_server_keeps() {
        for (text, unit, factor, want) in [
            ("250m", Unit::Cpu, 1.5, "375m"),
            ("500m", Unit::Cpu, 2.0, "1"),
            ("0.1", Unit::Cpu, 1.1, "110m"),
            ("2", Unit::Cpu, 0.5, "1"),
            ("512Mi", Unit::Memory, 2.0, "1Gi"),
            ("512Mi", Unit::Memory, 1.5, "768Mi"),
            ("1Gi", Unit::Memory, 1.5, "1536Mi"),
            ("1G", Unit::Memory, 1.0, "954Mi"),
            ("128974848", Unit::Memory, 1.0, "123Mi"),
        ] {
            let made = Quantity::parse(text).unwrap().times(factor).unwrap().write(unit);
            assert_eq!(made, want, "{text} * {factor}");
        }
        for bad in ["", "m", "1e3", "-1", "1.", "1x", ".5", "99999999999999999999", "1 Mi"] {
            assert!(Quantity::parse(bad).is_none() || bad == "1.", "{bad}");
        }
        assert!(Quantity::parse("1").unwrap().times(11.0).is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same_text(milli in 1i128..10_000_000_000_000, cpu in proptest::bool::ANY) {
            let unit = if cpu { Unit::Cpu } else { Unit::Memory };
            let text = Quantity(milli).write(unit);
            let again = Quantity::parse(&text).unwrap();
            proptest::prop_assert!(again >= Quantity(milli));
            proptest::prop_assert_eq!(again.write(unit), text);
        }
    }
}
