//! Parts of a review that few decisions need.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::value::RawValue;

/// A value that is left unread, for the few who need it, and who find out then whether it is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread<'a>(&'a str);

impl<'a> Unread<'a> {
    /// Reads it after all.
    ///
    /// # Errors
    /// Where it is no `T`.
    pub fn read<T: Deserialize<'a>>(self) -> serde_json::Result<T> {
        serde_json::from_str(self.0)
    }
}

/// How a reader knows what is asked for.
pub(super) const UNREAD: &str = "Unread";

impl<'de: 'a, 'a> Deserialize<'de> for Unread<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UnreadVisitor;
        impl<'de> Visitor<'de> for UnreadVisitor {
            type Value = Unread<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            // From the reader here.
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Unread(text))
            }

            // From serde_json.
            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Self::Value, D::Error> {
                <&RawValue>::deserialize(deserializer).map(|value| Unread(value.get()))
            }
        }
        deserializer.deserialize_newtype_struct(UNREAD, UnreadVisitor)
    }
}
