//! Reads JSON as machines write it: without a blank between two tokens.
//!
//! A review is read whenever a pod is created, most of it is skipped, and nothing else in the webhook costs as much.
//! So it is read here, where little can happen. At the first thing that is not plain (a blank, a value of another
//! kind than asked for, lists and objects 65 deep, an error) reading is given up, which says nothing about the
//! text: serde_json is to read it then, and to say what is wrong with it.
//!
//! What is read here is what serde_json reads, and what is skipped is checked as serde_json checks it. Where debug
//! assertions are on, every review is read both ways and compared.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor, value::BorrowedStrDeserializer,
};
use serde::forward_to_deserialize_any;
use wide::u8x16;

use super::unread::UNREAD;

/// Reads `text`, or leaves it to serde_json.
pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    let mut reader = Reader::new(text);
    let value = T::deserialize(&mut reader).ok()?;
    // Go's encoder ends a text with a line feed.
    let rest = text.get(reader.at..)?;
    (rest.is_empty() || rest == "\n").then_some(value)
}

/// Why does not matter: serde_json says it better.
#[derive(Debug)]
struct GivenUp;

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("left to serde_json")
    }
}

impl std::error::Error for GivenUp {}

impl serde::de::Error for GivenUp {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

struct Reader<'de> {
    text: &'de str,
    at: usize,
    /// The bytes of each block of the text that do not stand for themselves in a string.
    special: Vec<u64>,
}

impl<'de> Reader<'de> {
    fn new(text: &'de str) -> Self {
        let (blocks, rest) = text.as_bytes().as_chunks();
        // What is behind the end is a control character, and ends each search.
        let mut last = [0; BLOCK];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Self { text, at: 0, special: blocks.iter().chain([&last]).map(special).collect() }
    }

    fn peek(&self) -> Result<u8, GivenUp> {
        self.text.as_bytes().get(self.at).copied().ok_or(GivenUp)
    }

    fn next(&mut self) -> Result<u8, GivenUp> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// Goes over `token` if it is what comes.
    fn takes(&mut self, token: u8) -> bool {
        let is_next = self.text.as_bytes().get(self.at) == Some(&token);
        self.at += usize::from(is_next);
        is_next
    }

    fn take(&mut self, token: u8) -> Result<(), GivenUp> {
        if self.takes(token) { Ok(()) } else { Err(GivenUp) }
    }

    fn word(&mut self, word: &str) -> Result<(), GivenUp> {
        let rest = self.text.as_bytes().get(self.at..).ok_or(GivenUp)?;
        self.at += word.len();
        if rest.starts_with(word.as_bytes()) { Ok(()) } else { Err(GivenUp) }
    }

    fn since(&self, start: usize) -> Result<&'de str, GivenUp> {
        self.text.get(start..self.at).ok_or(GivenUp)
    }

    /// Goes over a string and says whether there are escapes in it.
    #[inline]
    fn string(&mut self) -> Result<bool, GivenUp> {
        self.take(b'"')?;
        self.find_special();
        if self.takes(b'"') { Ok(false) } else { self.escaped_string().map(|()| true) }
    }

    #[cold]
    #[inline(never)]
    fn escaped_string(&mut self) -> Result<(), GivenUp> {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                _ => return Err(GivenUp),
            }
            self.find_special();
        }
    }

    /// Goes to the next byte that does not stand for itself in a string, or to the end.
    #[inline]
    fn find_special(&mut self) {
        let left = self.special.get(self.at / BLOCK).map_or(0, |special| special >> (self.at % BLOCK));
        if left == 0 {
            return self.find_special_later();
        }
        self.at += left.trailing_zeros() as usize;
    }

    /// The same where there is none in this block.
    #[inline(never)]
    fn find_special_later(&mut self) {
        let mut blocks = self.special.iter().enumerate().skip(self.at / BLOCK + 1);
        self.at = blocks
            .find(|(_, special)| **special != 0)
            .map_or(self.text.len(), |(block, special)| block * BLOCK + special.trailing_zeros() as usize);
    }

    fn escape(&mut self) -> Result<(), GivenUp> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => (0..4).try_for_each(|_| self.next()?.is_ascii_hexdigit().then_some(()).ok_or(GivenUp)),
            _ => Err(GivenUp),
        }
    }

    fn digits(&mut self) -> Result<(), GivenUp> {
        let start = self.at;
        while self.peek().is_ok_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(GivenUp) }
    }

    fn number(&mut self) -> Result<(), GivenUp> {
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            let _ = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
        }
        Ok(())
    }

    #[inline]
    fn key(&mut self) -> Result<bool, GivenUp> {
        let escapes = self.string()?;
        self.take(b':')?;
        Ok(escapes)
    }

    /// Checks any value and gives its text.
    fn skip(&mut self) -> Result<&'de str, GivenUp> {
        let start = self.at;
        // What is open, innermost last: 1 for an object, 0 for a list, before them a 1 that ends them.
        let mut open = 1_u64;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' => {
                    self.at += 1;
                    if !self.takes(b'}') {
                        open = opened(open, 1)?;
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if !self.takes(b']') {
                        open = opened(open, 0)?;
                        continue;
                    }
                }
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => self.number()?,
            }
            loop {
                if open == 1 {
                    return self.since(start);
                }
                match (self.next()?, open & 1) {
                    (b',', 0) => break,
                    (b',', _) => {
                        self.key()?;
                        break;
                    }
                    (b']', 0) | (b'}', 1) => open >>= 1,
                    _ => return Err(GivenUp),
                }
            }
        }
    }
}

/// One more is open, of which there are 63 at most.
fn opened(open: u64, kind: u64) -> Result<u64, GivenUp> {
    if open.leading_zeros() == 0 { Err(GivenUp) } else { Ok(open << 1 | kind) }
}

/// So many bytes are looked at together.
const BLOCK: usize = 64;

/// A bit for each byte that is a quote, a backslash or a control character, the first one's lowest.
fn special(bytes: &[u8; BLOCK]) -> u64 {
    let (lanes, _) = bytes.as_chunks::<16>();
    lanes.iter().rev().fold(0, |found, lane| {
        let lane = u8x16::from(*lane);
        let control = lane.min(u8x16::splat(0x1f)).simd_eq(lane);
        let special = lane.simd_eq(u8x16::splat(b'"')) | lane.simd_eq(u8x16::splat(b'\\')) | control;
        found << 16 | u64::from(special.to_bitmask())
    })
}

/// What a string with escapes says. Those of Unicode are rare, and have rules of their own.
fn plain(text: &str) -> Result<String, GivenUp> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'r') => b'\r',
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(itself @ (b'"' | b'\\' | b'/')) => itself,
                _ => return Err(GivenUp),
            },
            byte => byte,
        });
    }
    String::from_utf8(plain).map_err(|_| GivenUp)
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = GivenUp;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GivenUp> {
        match self.peek()? {
            b'"' => {
                let start = self.at + 1;
                let escapes = self.string()?;
                let text = self.text.get(start..self.at - 1).ok_or(GivenUp)?;
                if escapes { visitor.visit_string(plain(text)?) } else { visitor.visit_borrowed_str(text) }
            }
            b'{' => self.items(b'}', |items| visitor.visit_map(items)),
            b'[' => self.items(b']', |items| visitor.visit_seq(items)),
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            _ => Err(GivenUp),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GivenUp> {
        if self.peek()? == b'n' {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GivenUp> {
        self.skip()?;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, GivenUp> {
        if name == UNREAD { visitor.visit_borrowed_str(self.skip()?) } else { Err(GivenUp) }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

/// What is in an object or a list.
struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    end: u8,
    first: bool,
    ended: bool,
}

impl<'de> Reader<'de> {
    /// Lets `visit` look at an object or a list, which it has to do to the end.
    fn items<T>(
        &mut self,
        end: u8,
        visit: impl FnOnce(&mut Items<'_, 'de>) -> Result<T, GivenUp>,
    ) -> Result<T, GivenUp> {
        self.at += 1;
        let mut items = Items { reader: self, end, first: true, ended: false };
        let value = visit(&mut items)?;
        if items.ended { Ok(value) } else { Err(GivenUp) }
    }
}

impl Items<'_, '_> {
    /// Goes over the comma before the next item, or over the end.
    fn more(&mut self) -> Result<bool, GivenUp> {
        self.ended = self.reader.takes(self.end);
        if !self.ended && !std::mem::take(&mut self.first) {
            self.reader.take(b',')?;
        }
        Ok(!self.ended)
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = GivenUp;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, GivenUp> {
        if !self.more()? {
            return Ok(None);
        }
        let start = self.reader.at + 1;
        if self.reader.key()? {
            return Err(GivenUp);
        }
        let key = self.reader.text.get(start..self.reader.at - 2).ok_or(GivenUp)?;
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, GivenUp> {
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = GivenUp;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, GivenUp> {
        if self.more()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}
