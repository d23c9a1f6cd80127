//! Reads JSON as machines write it: without a blank between two tokens.
//!
//! A review is read whenever a pod is created, most of it is skipped, and nothing else in the webhook costs as much.
//! So it is read here, where little can happen. At the first thing that is not plain (a blank, a value of another
//! kind than asked for, an error) reading is given up, which says nothing about the text: serde_json is to read it
//! then, and to say what is wrong with it.
//!
//! What is read here is what serde_json reads. What is skipped is not looked into: a string ends at its own quote, a
//! list or an object at its own bracket, whatever is in between. The API server has checked and written that itself.
//! Where debug assertions are on, every review that serde_json reads too is compared.

use std::borrow::Cow;
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

/// Room for a string with escapes: the annotation of two networks has 300 bytes.
const ESCAPED: usize = 512;

struct Reader<'de> {
    text: &'de str,
    at: usize,
    blocks: Vec<Block>,
}

/// So many bytes are looked at together.
const BLOCK: usize = 64;

/// What is where in so many bytes of the text: a bit for each byte, the first one's lowest.
struct Block {
    /// What does not stand for itself in a string: quotes, backslashes, control characters.
    special: u64,
    /// The brackets of lists and objects: those outside strings.
    brackets: u64,
}

/// What a block has to know of those before it.
#[derive(Default)]
struct Strings {
    /// All bits where a string is open, or none.
    open: u64,
    /// 1 where the last byte was a backslash that escapes the next.
    escaping: u64,
}

impl<'de> Reader<'de> {
    fn new(text: &'de str) -> Self {
        let (blocks, rest) = text.as_bytes().as_chunks();
        // What is behind the end is a control character, and ends each search.
        let mut last = [0; BLOCK];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let mut strings = Strings::default();
        Self { text, at: 0, blocks: blocks.iter().chain([&last]).map(|bytes| strings.block(bytes)).collect() }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn peek(&self) -> Result<u8, GivenUp> {
        self.byte(self.at).ok_or(GivenUp)
    }

    fn next(&mut self) -> Result<u8, GivenUp> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// Goes over `token` if it is what comes.
    fn takes(&mut self, token: u8) -> bool {
        let is_next = self.byte(self.at) == Some(token);
        if is_next {
            self.at += 1;
        }
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

    fn part(&self, from: usize, to: usize) -> Result<&'de str, GivenUp> {
        self.text.get(from..to).ok_or(GivenUp)
    }

    /// Goes over a string.
    #[inline]
    fn string(&mut self) -> Result<Cow<'de, str>, GivenUp> {
        // Where it ends is found out by places alone: written to the reader and read again, each would be waited for.
        let start = self.at;
        if self.byte(start) != Some(b'"') {
            return Err(GivenUp);
        }
        let end = self.special(start + 1);
        if self.byte(end) != Some(b'"') {
            return self.string_with_escapes();
        }
        self.at = end + 1;
        self.part(start + 1, end).map(Cow::Borrowed)
    }

    /// The same where there are escapes in it.
    #[cold]
    #[inline(never)]
    fn string_with_escapes(&mut self) -> Result<Cow<'de, str>, GivenUp> {
        let mut text = String::with_capacity(ESCAPED);
        self.take(b'"')?;
        loop {
            let end = self.special(self.at);
            text.push_str(self.part(self.at, end)?);
            self.at = end;
            if self.takes(b'"') {
                return Ok(Cow::Owned(text));
            }
            self.take(b'\\')?;
            text.push(match self.next()? {
                byte @ (b'"' | b'\\' | b'/') => char::from(byte),
                b'n' => '\n',
                b't' => '\t',
                b'r' => '\r',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                // Those of Unicode are rare, and have rules of their own.
                _ => return Err(GivenUp),
            });
        }
    }

    /// The place of the next byte from `at` on that does not stand for itself in a string, or the end.
    #[inline]
    fn special(&self, at: usize) -> usize {
        let left = self.blocks.get(at / BLOCK).map_or(0, |block| block.special >> (at % BLOCK));
        if left == 0 { self.later_special(at) } else { at + left.trailing_zeros() as usize }
    }

    /// The same where there is none in this block.
    #[inline(never)]
    fn later_special(&self, at: usize) -> usize {
        let mut blocks = self.blocks.iter().enumerate().skip(at / BLOCK + 1);
        blocks
            .find(|(_, block)| block.special != 0)
            .map_or(self.text.len(), |(index, block)| index * BLOCK + block.special.trailing_zeros() as usize)
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

    /// Goes over any value and gives its text.
    fn skip(&mut self) -> Result<&'de str, GivenUp> {
        let start = self.at;
        match self.peek()? {
            b'"' => self.skip_string()?,
            b'{' | b'[' => self.skip_brackets()?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            _ => self.number()?,
        }
        self.part(start, self.at)
    }

    fn skip_string(&mut self) -> Result<(), GivenUp> {
        let mut at = self.at + 1;
        loop {
            let end = self.special(at);
            match self.byte(end) {
                Some(b'"') => {
                    self.at = end + 1;
                    return Ok(());
                }
                // And what it escapes.
                Some(b'\\') => at = end + 2,
                _ => return Err(GivenUp),
            }
        }
    }

    /// Goes from a bracket to the one that closes it.
    fn skip_brackets(&mut self) -> Result<(), GivenUp> {
        let first = self.at / BLOCK;
        let mut before = u64::MAX << (self.at % BLOCK);
        let mut open = 0_usize;
        for (index, block) in self.blocks.iter().enumerate().skip(first) {
            let mut brackets = block.brackets & std::mem::replace(&mut before, u64::MAX);
            while brackets != 0 {
                let at = index * BLOCK + brackets.trailing_zeros() as usize;
                let opens = matches!(self.byte(at), Some(b'{' | b'['));
                open = if opens { open + 1 } else { open.checked_sub(1).ok_or(GivenUp)? };
                if open == 0 {
                    self.at = at + 1;
                    return Ok(());
                }
                brackets &= brackets - 1;
            }
        }
        Err(GivenUp)
    }
}

impl Strings {
    /// Looks at the next bytes.
    fn block(&mut self, bytes: &[u8; BLOCK]) -> Block {
        let (lanes, _) = bytes.as_chunks::<16>();
        let bits = |found: u8x16| u64::from(found.to_bitmask());
        let backslashes = || {
            let lanes = lanes.iter().rev().map(|lane| u8x16::from(*lane));
            lanes.fold(0, |found, lane| found << 16 | bits(lane.simd_eq(u8x16::splat(b'\\'))))
        };
        // The others are backslashes and control characters, and are seldom.
        let (mut quotes, mut others, mut brackets) = (0, 0, 0);
        for lane in lanes.iter().rev() {
            let lane = u8x16::from(*lane);
            let control = lane.min(u8x16::splat(0x1f)).simd_eq(lane);
            // Square and curly ones differ in one bit.
            let curly = lane | u8x16::splat(b'{' ^ b'[');
            quotes = quotes << 16 | bits(lane.simd_eq(u8x16::splat(b'"')));
            others = others << 16 | bits(lane.simd_eq(u8x16::splat(b'\\')) | control);
            brackets =
                brackets << 16 | bits(curly.simd_eq(u8x16::splat(b'{')) | curly.simd_eq(u8x16::splat(b'}')));
        }
        let special = quotes | others;
        if others != 0 || self.escaping != 0 {
            quotes &= !self.escaped(backslashes());
        }
        let open = from_each_to_the_next(quotes) ^ self.open;
        // All of them the last one's.
        self.open = (open.cast_signed() >> (BLOCK - 1)).cast_unsigned();
        Block { special, brackets: brackets & !open }
    }

    /// The bytes behind a backslash that is not escaped itself.
    fn escaped(&mut self, backslashes: u64) -> u64 {
        let mut escaped = self.escaping;
        self.escaping = 0;
        let mut left = backslashes & !escaped;
        while left != 0 {
            let backslash = left & left.wrapping_neg();
            let next = backslash << 1;
            self.escaping = u64::from(next == 0);
            escaped |= next;
            left &= !(backslash | next);
        }
        escaped
    }
}

/// All bits from the first one on up to the second one, and so on.
fn from_each_to_the_next(bits: u64) -> u64 {
    [1, 2, 4, 8, 16, 32].into_iter().fold(bits, |bits, distance| bits ^ bits << distance)
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = GivenUp;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GivenUp> {
        match self.peek()? {
            b'"' => match self.string()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
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
        // A struct of which all may be missing asks on.
        self.ended = self.ended || self.reader.takes(self.end);
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
        let Cow::Borrowed(key) = self.reader.string()? else { return Err(GivenUp) };
        self.reader.take(b':')?;
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
