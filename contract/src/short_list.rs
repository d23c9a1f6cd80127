use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use thiserror::Error;

/// How much of a list is read. A PCI bus has no more functions, so no pod has more VFs of one card, and nobody
/// gives a pod so many networks or containers.
pub const LONGEST_LIST: usize = 256;

/// An untrusted list, read up to [`LONGEST_LIST`] elements. What comes after those is counted and not
/// kept: who acts on the list [checks](ShortList::check) it first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortList<T> {
    elements: Vec<T>,
    more: usize,
}

/// A list with more elements than anybody needs. The sentence has no subject: the caller names the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("has {found} elements, and {LONGEST_LIST} is the most: remove what is not needed")]
pub struct ListTooLong {
    /// How many there are.
    pub found: usize,
}

impl<T> ShortList<T> {
    /// Whether it was read to its end.
    ///
    /// # Errors
    /// If it was not, how long it is.
    pub fn check(&self) -> Result<(), ListTooLong> {
        match self.more {
            0 => Ok(()),
            more => Err(ListTooLong { found: self.elements.len() + more }),
        }
    }
}

impl<T> Default for ShortList<T> {
    fn default() -> Self {
        Self { elements: Vec::new(), more: 0 }
    }
}

impl<T> Deref for ShortList<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements
    }
}

impl<T> IntoIterator for ShortList<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.elements.into_iter()
    }
}

impl<'l, T> IntoIterator for &'l ShortList<T> {
    type Item = &'l T;
    type IntoIter = std::slice::Iter<'l, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.elements.iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ShortList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = ShortList<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // As serde says it of a list.
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
                let mut list = ShortList::default();
                while list.elements.len() < LONGEST_LIST {
                    let Some(element) = sequence.next_element()? else { return Ok(list) };
                    list.elements.push(element);
                }
                while sequence.next_element::<IgnoredAny>()?.is_some() {
                    list.more += 1;
                }
                Ok(list)
            }
        }
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::empty(0, 0, Ok(()))]
    #[case::short(3, 3, Ok(()))]
    #[case::as_long_as_may_be(256, 256, Ok(()))]
    #[case::too_long(257, 256, Err(ListTooLong { found: 257 }))]
    #[case::far_too_long(10_000, 256, Err(ListTooLong { found: 10_000 }))]
    fn what_is_kept(#[case] found: usize, #[case] kept: usize, #[case] expected: Result<(), ListTooLong>) {
        let text = format!("[{}]", vec!["7"; found].join(","));
        let list: ShortList<u8> = serde_json::from_str(&text).unwrap();
        assert_eq!((list.len(), list.check()), (kept, expected));
    }

    #[test]
    fn what_is_not_kept_is_checked_all_the_same() {
        let text = format!("[{},]", vec!["7"; 300].join(","));
        assert!(serde_json::from_str::<ShortList<u8>>(&text).is_err());
    }
}
