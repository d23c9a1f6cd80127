//! Logging a condition once, however often it is seen.

/// Remembers what was said last, so that only something else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnChange<T>(Option<T>);

impl<T> Default for OnChange<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> OnChange<T> {
    /// Remembers `value`. Returns it if it differs from what was remembered before.
    pub fn set(&mut self, value: T) -> Option<&T> {
        let is_new = self.0.as_ref() != Some(&value);
        self.0 = Some(value);
        self.0.as_ref().filter(|_| is_new)
    }

    /// Does [`OnChange::set`] or [`OnChange::clear`], as there is a value or not.
    pub fn update(&mut self, value: Option<T>) -> Option<&T> {
        match value {
            Some(value) => self.set(value),
            None => {
                self.clear();
                None
            }
        }
    }

    /// Forgets what was remembered, so that it is said when it comes again. Returns whether there was something.
    pub fn clear(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// What is remembered.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_said_once_until_it_is_over() {
        let mut said = OnChange::default();
        assert_eq!(said.set("away"), Some(&"away"));
        assert_eq!(said.set("away"), None);
        assert_eq!(said.set("forbidden"), Some(&"forbidden"));
        assert_eq!(said.set("away"), Some(&"away"));
        assert_eq!(said.get(), Some(&"away"));
        assert!(said.clear());
        assert!(!said.clear());
        assert_eq!(said.update(Some("away")), Some(&"away"));
        assert_eq!(said.update(Some("away")), None);
        assert_eq!(said.update(None), None);
        assert_eq!(said.update(Some("away")), Some(&"away"));
    }
}
