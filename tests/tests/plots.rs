//! The plots of docs/performance.md, drawn from the tables beside them.
//!
//! After a table has changed, `UPDATE_PLOTS=1 cargo test --workspace --test plots` draws them again.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const PAGE: &str = "docs/performance.md";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The cells of the table whose first heading this is: a row for each line below the headings.
fn table(page: &str, first_heading: &str) -> Vec<Vec<String>> {
    let start = format!("| {first_heading} |");
    let lines = page.lines().skip_while(|line| !line.starts_with(&start));
    let rows: Vec<Vec<String>> = lines
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert!(!rows.is_empty(), "{PAGE} has no table that begins with {first_heading:?}");
    rows
}

/// The number at the start of a cell such as `13.0 µs` or `10,000`.
fn number(cell: &str) -> f64 {
    let number: String = cell.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ',')).collect();
    number
        .replace(',', "")
        .parse()
        .unwrap_or_else(|_| panic!("{cell:?} in {PAGE} does not begin with a number"))
}

/// A bar: what it is about, how long it is, what is written behind it, and which of two colours it has.
struct Bar {
    label: String,
    value: f64,
    text: String,
    first: bool,
}

/// Horizontal bars from zero, on one scale.
fn bars(title: &str, bars: &[Bar]) -> String {
    const LABELS: u32 = 260;
    const BARS: u32 = 400;
    const VALUES: u32 = 90;
    const ROW: u32 = 26;
    const TOP: u32 = 36;
    let greatest = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let (width, height) = (LABELS + BARS + VALUES, TOP + ROW * u32::try_from(bars.len()).unwrap() + 8);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{title}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <style>text {{ fill: #1f2328 }} .first {{ fill: #1f6feb }} .other {{ fill: #8c959f }}\n\
         @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} }}</style>\n\
         <text x=\"8\" y=\"20\" font-weight=\"bold\">{title}</text>\n"
    );
    for (Bar { label, value, text, first }, row) in bars.iter().zip(0..) {
        let (y, long) = (TOP + ROW * row, (value / greatest * f64::from(BARS)).max(1.0));
        let (class, middle) = (if *first { "first" } else { "other" }, y + 15);
        let behind = f64::from(LABELS) + long + 6.0;
        // Writing to a string cannot fail.
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{label}</text>", LABELS - 8);
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{LABELS}\" y=\"{}\" width=\"{long:.1}\" height=\"18\"/>",
            y + 2
        );
        let _ = writeln!(svg, "<text x=\"{behind:.1}\" y=\"{middle}\">{text}</text>");
    }
    svg + "</svg>\n"
}

/// Compares a picture with the one in the tree, or replaces that.
fn judge(name: &str, drawn: &str) {
    let picture = repository(&format!("docs/images/{name}.svg"));
    if env::var_os("UPDATE_PLOTS").is_some() {
        fs::write(&picture, drawn).unwrap();
    }
    let kept = fs::read_to_string(&picture).unwrap_or_default();
    assert!(
        kept == drawn,
        "docs/images/{name}.svg is not what the tables of {PAGE} say: draw it again with UPDATE_PLOTS=1, and look at it"
    );
    let page = fs::read_to_string(repository(PAGE)).unwrap();
    assert!(page.contains(&format!("](images/{name}.svg)")), "{PAGE} does not show {name}.svg");
}

#[test]
fn processor_time_of_a_review() {
    let page = fs::read_to_string(repository(PAGE)).unwrap();
    let drawn: Vec<Bar> = table(&page, "as fast as each answers")
        .into_iter()
        .map(|row| Bar {
            value: number(&row[1]),
            first: row[0].starts_with("webhook"),
            text: row[1].clone(),
            label: row[0].clone(),
        })
        .collect();
    assert!(drawn.iter().any(|bar| bar.label.starts_with("peer")));
    judge("cpu-of-a-review", &bars("CPU for a review, as fast as each answers (less is better)", &drawn));
}

#[test]
fn memory_against_the_number_of_networks() {
    let page = fs::read_to_string(repository(PAGE)).unwrap();
    let rows = table(&page, "networks");
    let drawn: Vec<Bar> = rows
        .iter()
        .flat_map(|row| {
            // "10 (4 from the API server)", or one number for both.
            let (files, cluster) = row[0].split_once(" (").unwrap_or((&row[0], &row[0]));
            let cluster = cluster.split(' ').next().unwrap();
            [(files, "from files", &row[1], false), (cluster, "from an API server", &row[3], true)].map(
                |(networks, source, memory, first)| Bar {
                    label: format!("{networks} networks {source}"),
                    value: number(memory),
                    text: memory.clone(),
                    first,
                },
            )
        })
        .collect();
    judge("memory-of-networks", &bars("Resident memory after load", &drawn));
}

#[test]
fn a_table_is_read_up_to_its_end() {
    let page = "| a | b |\n| --- | --- |\n| one | 1,000 µs |\n| two | 2.5 MB |\n\n| c | d |\n| --- | --- |\n| x | y |\n";
    let rows = table(page, "a");
    assert_eq!(rows, [["one", "1,000 µs"], ["two", "2.5 MB"]]);
    assert_eq!([number(&rows[0][1]), number(&rows[1][1])].map(f64::to_bits), [1000.0, 2.5].map(f64::to_bits));
}
