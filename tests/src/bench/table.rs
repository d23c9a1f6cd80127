//! Tables of figures and ratios.

use std::fmt;

use super::Figures;

/// A middle value and how far the others lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The least.
    pub least: f64,
    /// The one in the middle.
    pub median: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// Of some values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        Self { least: values[0], median: values[values.len() / 2], greatest: values[values.len() - 1] }
    }

    /// Of the ratios of two servers' values, turn by turn.
    pub fn ratio(of: &[Figures], to: &[Figures], value: impl Fn(&Figures) -> f64) -> Self {
        Self::of(of.iter().zip(to).map(|(of, to)| value(of) / value(to)))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, median, greatest } = self;
        write!(f, "{median:.2} ({least:.2} to {greatest:.2})")
    }
}

/// Prints a row for each server, with its ratios to the first.
pub fn print(title: &str, names: &[&str], figures: &[Vec<Figures>]) {
    println!("\n{title}");
    println!(
        "  {:<18} {:>12} {:>12} {:>9} {:>9}   {:<24} p99, times {}",
        "",
        "µs of CPU",
        "reviews/s",
        "p50 ms",
        "p99 ms",
        format!("CPU, times {}", names[0]),
        names[0]
    );
    for (name, turns) in names.iter().zip(figures) {
        let median = |value: fn(&Figures) -> f64| Spread::of(turns.iter().map(value)).median;
        println!(
            "  {name:<18} {:>12.1} {:>12.0} {:>9.2} {:>9.2}   {:<24} {}",
            median(|turn| turn.cpu),
            median(|turn| turn.rate),
            median(|turn| turn.p50),
            median(|turn| turn.p99),
            Spread::ratio(turns, &figures[0], |turn| turn.cpu).to_string(),
            Spread::ratio(turns, &figures[0], |turn| turn.p99),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_middle_and_the_ends() {
        let spread = Spread::of([3.0, 1.0, 2.0, 10.0, 2.5]);
        assert_eq!(spread, Spread { least: 1.0, median: 2.5, greatest: 10.0 });
        assert_eq!(spread.to_string(), "2.50 (1.00 to 10.00)");
    }
}
