//! Colours of tables. `anstream` removes them where standard output is not a terminal, and with `NO_COLOR`.

use anstyle::{AnsiColor, Style};

/// The head of a column.
pub(crate) const HEAD: Style = Style::new().bold();
/// What is as it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What deserves attention.
pub(crate) const ATTENTION: Style = AnsiColor::Yellow.on_default();
/// What is not known.
pub(crate) const UNKNOWN: Style = AnsiColor::Magenta.on_default();
/// What is wrong or denied.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What to do about it.
pub(crate) const REMEDY: Style = AnsiColor::Cyan.on_default();
