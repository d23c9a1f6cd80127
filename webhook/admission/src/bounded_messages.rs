//! Messages about one object, of which a person reads a few.

/// How many are said. The API server passes on 4096 characters of warnings, and most are half a thousand long.
const SAID: usize = 8;

/// The first few, and how many more there are.
#[derive(Debug, Default)]
pub(super) struct BoundedMessages {
    said: Vec<String>,
    more: usize,
}

impl BoundedMessages {
    /// Adds one, which is made only where it is said.
    pub(super) fn add(&mut self, sentence: impl FnOnce() -> String) {
        if self.said.len() < SAID {
            self.said.push(sentence());
        } else {
            self.more += 1;
        }
    }

    pub(super) fn into_vec(mut self) -> Vec<String> {
        if self.more > 0 {
            self.said.push(format!("and {} more", self.more));
        }
        self.said
    }
}
