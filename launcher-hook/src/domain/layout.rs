//! How the neighbours of an insertion are laid out, so that it looks like them.

use super::document::Element;

/// White space around something to be inserted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Where to insert.
    pub(super) at: usize,
    /// What stands before the end tag of the parent: a line break and its indentation, or nothing.
    pub(super) outer: String,
    /// What stands before each child.
    pub(super) inner: String,
    /// One more step of indentation, without a line break.
    pub(super) unit: String,
}

impl Layout {
    /// For a hostdev in `devices`: behind `last`, otherwise behind the last child.
    pub(super) fn of_devices(
        text: &str,
        root: &Element<'_>,
        devices: &Element<'_>,
        last: Option<&Element<'_>>,
    ) -> Self {
        let outer = before(text, devices.tag.start);
        let anchor = last.map(|last| last.tag.start..last.end.end).or_else(|| devices.last_child.clone());
        let step = indentation(outer, before(text, root.tag.start)).unwrap_or_default();
        match anchor {
            Some(anchor) => {
                let inner = before(text, anchor.start);
                Self {
                    at: anchor.end,
                    outer: outer.to_owned(),
                    inner: inner.to_owned(),
                    unit: indentation(inner, outer).unwrap_or(step).to_owned(),
                }
            }
            None => Self {
                at: devices.tag.end,
                outer: outer.to_owned(),
                inner: format!("{outer}{step}"),
                unit: step.to_owned(),
            },
        }
    }

    /// For a child of `parent`, behind its last one, which looks like `sibling`.
    pub(super) fn of_children(text: &str, parent: &Element<'_>, sibling: &Element<'_>) -> Self {
        let at = parent.last_child.as_ref().map_or(sibling.end.end, |last| last.end);
        Self {
            at,
            outer: before(text, parent.tag.start).to_owned(),
            inner: before(text, sibling.tag.start).to_owned(),
            unit: String::new(),
        }
    }
}

/// The line break and the indentation before `place`; nothing where something else stands on the line.
fn before(text: &str, place: usize) -> &str {
    let line = text.get(..place).unwrap_or_default();
    let visible = line.trim_end_matches([' ', '\t']);
    let start = if visible.ends_with("\r\n") {
        visible.len() - 2
    } else if visible.ends_with('\n') {
        visible.len() - 1
    } else {
        return "";
    };
    line.get(start..).unwrap_or_default()
}

/// What `inner` has more than `outer`, without line breaks.
fn indentation<'a>(inner: &'a str, outer: &str) -> Option<&'a str> {
    let breaks = ['\r', '\n'];
    inner.trim_start_matches(breaks).strip_prefix(outer.trim_start_matches(breaks))
}
