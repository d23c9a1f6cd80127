//! The domain's text, checked as a whole, with the elements that matter here and their places.

use std::ops::Range;

use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::{NamespaceResolver, QName, ResolveResult};

use super::DomainError;
use super::tag::{Attribute, TagProblem, allowed, check_reference, decode, is_name, read_tag};

/// Far beyond any domain: KubeVirt's hook messages end at 4 MiB.
const LARGEST: usize = 16 << 20;

/// What libxml2, and so libvirt, reads.
const DEEPEST: usize = 256;

/// An element on the way to a device, or inside one.
#[derive(Debug)]
pub(super) struct Element<'d> {
    pub(super) name: &'d str,
    pub(super) attributes: Vec<Attribute<'d>>,
    /// From the `<` to behind the `>` of the start tag.
    pub(super) tag: Range<usize>,
    /// From the `<` to behind the `>` of the end tag; empty for `<name/>`.
    pub(super) end: Range<usize>,
    /// The children that matter.
    pub(super) children: Vec<Element<'d>>,
    /// Where the last child of all ends.
    pub(super) last_child: Option<Range<usize>>,
}

impl<'d> Element<'d> {
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute<'d>> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.attribute(name).is_some_and(|attribute| decode(attribute.raw) == value)
    }

    pub(super) fn self_closing(&self) -> bool {
        self.end.is_empty()
    }

    /// The only child of that name.
    pub(super) fn child(&self, name: &'static str, text: &str) -> Result<Option<&Self>, DomainError> {
        let mut found = self.children.iter().filter(|child| child.name == name);
        let first = found.next();
        match found.next() {
            None => Ok(first),
            Some(second) => {
                Err(DomainError::Repeated { line: line(text, second.tag.start), element: name.to_owned() })
            }
        }
    }
}

/// Characters of a tokenizer's error that are shown.
const LONGEST_PROBLEM: usize = 160;

/// A well-formed domain.
#[derive(Debug)]
pub struct Document<'d> {
    pub(super) text: &'d str,
    pub(super) root: Element<'d>,
}

impl<'d> Document<'d> {
    /// Reads and checks a domain.
    ///
    /// # Errors
    /// The first reason why it is not a well-formed domain.
    pub fn parse(text: &'d str) -> Result<Self, DomainError> {
        if text.len() > LARGEST {
            return Err(DomainError::TooLarge { bytes: text.len(), limit: LARGEST });
        }
        check_characters(text)?;
        let mut scanner = Scanner { text, open: Vec::new(), root: None, attributes: Vec::new() };
        scanner.run()?;
        let root = scanner.root.ok_or(DomainError::Empty)?;
        Ok(Self { text, root })
    }

    /// The domain's name, where it has one.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let name = self.root.child("name", self.text).ok()??;
        let text = self.text.get(name.tag.end..name.end.start)?;
        Some(decode(text.trim()).into_owned())
    }

    /// The one `<devices>`.
    pub(super) fn devices(&self) -> Result<Option<&Element<'d>>, DomainError> {
        self.root.child("devices", self.text)
    }
}

/// The line of a place in `text`, counted from 1.
pub(super) fn line(text: &str, place: usize) -> usize {
    let before = text.as_bytes().get(..place).unwrap_or(text.as_bytes());
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}

fn check_characters(text: &str) -> Result<(), DomainError> {
    // Bytes first, and all of them: such a loop is done many at a time, one over characters takes longer than
    // all the rest. 0xef starts the two forbidden characters behind ASCII.
    let suspicious = |byte: u8| {
        let control = (byte < 0x20) & (byte != b'\t') & (byte != b'\n') & (byte != b'\r');
        control | (byte == 0xef)
    };
    if text.bytes().fold(false, |found, byte| found | suspicious(byte))
        && let Some((place, character)) = text.char_indices().find(|&(_, character)| !allowed(character))
    {
        return Err(syntax(
            text,
            place,
            format!("the character U+{:04X} is not allowed", u32::from(character)),
        ));
    }
    Ok(())
}

fn syntax(text: &str, place: usize, problem: impl Into<String>) -> DomainError {
    DomainError::Syntax { line: line(text, place), problem: problem.into() }
}

/// The tokenizer shows names as they stand in the document, which may be a whole page: they are to take no line of
/// their own, and not to fill the log.
fn on_one_line(problem: &str) -> String {
    let mut line = String::new();
    for character in problem.chars().take(LONGEST_PROBLEM) {
        if character.is_control() {
            line.extend(character.escape_debug());
        } else {
            line.push(character);
        }
    }
    line
}

struct Scanner<'d> {
    text: &'d str,
    /// The elements that are open; what they hold where they matter.
    open: Vec<(&'d str, Option<Element<'d>>)>,
    root: Option<Element<'d>>,
    /// Kept between tags so that only the elements that matter allocate.
    attributes: Vec<Attribute<'d>>,
}

impl<'d> Scanner<'d> {
    fn run(&mut self) -> Result<(), DomainError> {
        // quick-xml skips a byte order mark without counting it.
        let marked = self.text.strip_prefix('\u{feff}').unwrap_or(self.text);
        let base = self.text.len() - marked.len();
        let mut reader = NsReader::from_str(marked);
        reader.config_mut().check_comments = true;
        loop {
            let start = base + position(reader.buffer_position());
            let event = reader.read_event().map_err(|error| self.open_element(start, &error))?;
            let place = start..base + position(reader.buffer_position());
            match event {
                Event::Start(_) => self.start(place, reader.resolver())?,
                Event::Empty(_) => {
                    let end = place.end..place.end;
                    self.start(place, reader.resolver())?;
                    self.end(end);
                }
                Event::End(_) => self.end(place),
                Event::Text(text) => {
                    self.characters(&place, text.trim_matches([' ', '\t', '\n', '\r']))?;
                }
                Event::GeneralRef(reference) => {
                    self.characters(&place, "&")?;
                    check_reference(&reference).map_err(|problem| self.problem(&place, "", problem))?;
                }
                Event::CData(_) => self.characters(&place, "[")?,
                Event::DocType(_) => {
                    return Err(DomainError::Doctype { line: line(self.text, place.start) });
                }
                Event::Decl(_) => self.declaration(&place)?,
                Event::PI(instruction) => {
                    let problem = match instruction.target() {
                        target if target.eq_ignore_ascii_case("xml") => {
                            "an XML declaration that is not at the start"
                        }
                        target if is_name(target) => continue,
                        _ => "a processing instruction that does not start with an XML name",
                    };
                    return Err(syntax(self.text, place.start, problem));
                }
                Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        match self.open.last() {
            None => Ok(()),
            Some((element, _)) => Err(DomainError::Truncated { element: (*element).to_owned() }),
        }
    }

    /// The tokenizer's error: an end of the text inside of a tag is a cut as well.
    fn open_element(&self, place: usize, error: &quick_xml::Error) -> DomainError {
        match (error, self.open.last()) {
            (quick_xml::Error::Syntax(_), Some((element, _))) => {
                DomainError::Truncated { element: (*element).to_owned() }
            }
            _ => syntax(self.text, place, on_one_line(&error.to_string())),
        }
    }

    fn problem(&self, place: &Range<usize>, element: &str, problem: TagProblem<'_>) -> DomainError {
        match problem {
            TagProblem::Syntax(problem) => syntax(self.text, place.start, problem),
            TagProblem::Duplicate(attribute) => DomainError::DuplicateAttribute {
                line: line(self.text, place.start),
                element: element.to_owned(),
                attribute: attribute.to_owned(),
            },
        }
    }

    fn start(&mut self, tag: Range<usize>, namespaces: &NamespaceResolver) -> Result<(), DomainError> {
        let mut attributes = std::mem::take(&mut self.attributes);
        let name = read_tag(self.text, &tag, &mut attributes).map_err(|problem| {
            let shown = self.text.get(tag.start + 1..tag.end).unwrap_or_default();
            let name = shown.split([' ', '\t', '\n', '\r', '/', '>']).next().unwrap_or_default();
            self.problem(&tag, name, problem)
        })?;
        let names = std::iter::once(name).chain(attributes.iter().map(|attribute| attribute.name));
        if let Some(prefix) = names.filter_map(|name| undeclared(name, namespaces)).next() {
            return Err(DomainError::UndeclaredPrefix {
                line: line(self.text, tag.start),
                element: name.to_owned(),
                prefix: prefix.to_owned(),
            });
        }
        let own = !name.contains(':')
            && !attributes.iter().any(|attribute| attribute.name == "xmlns" && !attribute.raw.is_empty());
        let parent = self.open.last();
        if self.open.len() == DEEPEST {
            return Err(DomainError::TooDeep { line: line(self.text, tag.start), limit: DEEPEST });
        }
        if parent.is_none() {
            if self.root.is_some() {
                return Err(DomainError::SecondRoot {
                    line: line(self.text, tag.start),
                    element: name.to_owned(),
                });
            }
            if name != "domain" || !own {
                return Err(DomainError::NotDomain { element: name.to_owned() });
            }
        }
        let wanted = own
            && parent.is_none_or(|(_, parent)| parent.is_some())
            && match self.open.len() {
                1 => matches!(name, "devices" | "name"),
                2 => matches!(name, "hostdev" | "interface"),
                depth => depth < 5,
            };
        let element = wanted.then(|| Element {
            name,
            attributes: attributes.clone(),
            tag: tag.clone(),
            end: tag.end..tag.end,
            children: Vec::new(),
            last_child: None,
        });
        if let Some((_, Some(parent))) = self.open.last_mut() {
            parent.last_child = Some(tag);
        }
        self.attributes = attributes;
        self.open.push((name, element));
        Ok(())
    }

    fn end(&mut self, end: Range<usize>) {
        let Some((_, element)) = self.open.pop() else {
            return;
        };
        let closed = element.map(|element| Element { end: end.clone(), ..element });
        match self.open.last_mut() {
            None => self.root = closed,
            Some((_, Some(parent))) => {
                if let Some(last) = &mut parent.last_child {
                    last.end = end.end;
                }
                parent.children.extend(closed);
            }
            Some((_, None)) => {}
        }
    }

    fn characters(&self, place: &Range<usize>, visible: &str) -> Result<(), DomainError> {
        if self.open.is_empty() && !visible.is_empty() {
            return Err(DomainError::OutsideRoot { line: line(self.text, place.start) });
        }
        if visible.bytes().any(|byte| byte == b']') && visible.contains("]]>") {
            return Err(syntax(self.text, place.start, "']]>' in text"));
        }
        Ok(())
    }

    /// Only at the very start, and the text is UTF-8 already: another encoding would be a lie.
    fn declaration(&self, place: &Range<usize>) -> Result<(), DomainError> {
        if !self.text.get(..place.start).unwrap_or_default().trim_start_matches('\u{feff}').is_empty() {
            return Err(syntax(self.text, place.start, "an XML declaration that is not at the start"));
        }
        let content = self.text.get(place.start + 1..place.end.saturating_sub(2)).unwrap_or_default();
        // `<?xml … ?>` has the form of a start tag between its question marks.
        let tag = format!("<{}>", content.trim_start_matches('?'));
        let mut attributes = Vec::new();
        read_tag(&tag, &(0..tag.len()), &mut attributes)
            .map_err(|problem| self.problem(place, "xml", problem))?;
        match attributes.iter().find(|attribute| attribute.name == "encoding") {
            Some(encoding) if !encoding.raw.eq_ignore_ascii_case("utf-8") => Err(syntax(
                self.text,
                place.start,
                format!("the encoding {} instead of UTF-8", contract::Quoted(encoding.raw)),
            )),
            _ => Ok(()),
        }
    }
}

/// The prefix of a name, where nothing in force says what it stands for.
fn undeclared<'n>(name: &'n str, namespaces: &NamespaceResolver) -> Option<&'n str> {
    let (prefix, _) = name.split_once(':')?;
    let (resolved, _) = namespaces.resolve_attribute(QName(name));
    matches!(resolved, ResolveResult::Unknown(_)).then_some(prefix)
}

/// A place in a text of at most [`LARGEST`] bytes.
fn position(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
