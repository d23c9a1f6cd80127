//! How the tables for people are coloured.

use anstyle::{AnsiColor, Style};

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const ATTENTION: Style = AnsiColor::Yellow.on_default();
/// What is missing, or disagrees.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What to do about it.
pub(super) const REMEDY: Style = AnsiColor::Cyan.on_default();
