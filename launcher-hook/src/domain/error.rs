use contract::{PciAddress, Quoted};
use thiserror::Error;

/// Why a domain is not edited. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DomainError {
    /// Far beyond any domain.
    #[error("the domain is {bytes} bytes long, at most {limit} are read")]
    TooLarge {
        /// Length found.
        bytes: usize,
        /// Length allowed.
        limit: usize,
    },
    /// Elements inside elements, further than libvirt reads.
    #[error("line {line}: elements are nested more than {limit} deep")]
    TooDeep {
        /// Where.
        line: usize,
        /// Depth allowed.
        limit: usize,
    },
    /// Not well-formed: what the tokenizer, or one of the checks beside it, says.
    #[error("line {line}: the domain is not well-formed XML: {problem}")]
    Syntax {
        /// Where.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// An element that never ends.
    #[error("the domain ends inside of element {}: it was cut off", Quoted(.element))]
    Truncated {
        /// The innermost element that is open at the end.
        element: String,
    },
    /// Nothing but white space and comments.
    #[error("the domain is empty")]
    Empty,
    /// A document type could define entities; libvirt's XML has none.
    #[error("line {line}: a DOCTYPE is not allowed in a domain")]
    Doctype {
        /// Where.
        line: usize,
    },
    /// XML has one root.
    #[error("line {line}: a second root element {} follows the domain", Quoted(.element))]
    SecondRoot {
        /// Where.
        line: usize,
        /// Its name.
        element: String,
    },
    /// Text before or after the root.
    #[error("line {line}: text outside of the root element")]
    OutsideRoot {
        /// Where.
        line: usize,
    },
    /// The same attribute twice.
    #[error("line {line}: element {} has attribute {} twice", Quoted(.element), Quoted(.attribute))]
    DuplicateAttribute {
        /// Where.
        line: usize,
        /// The element.
        element: String,
        /// The attribute.
        attribute: String,
    },
    /// A name of nobody knows whose.
    #[error(
        "line {line}: element {} uses the prefix {}, which no xmlns:… around it declares",
        Quoted(.element),
        Quoted(.prefix)
    )]
    UndeclaredPrefix {
        /// Where.
        line: usize,
        /// The element, which has the prefix or an attribute with it.
        element: String,
        /// The prefix.
        prefix: String,
    },
    /// Some other document.
    #[error("the root element is {}, not \"domain\"", Quoted(.element))]
    NotDomain {
        /// The root's name.
        element: String,
    },
    /// Nowhere to put a device.
    #[error("the domain has no <devices> element for a hostdev")]
    NoDevices,
    /// An element that is read once stands there twice.
    #[error("line {line}: a second <{element}> where one is expected")]
    Repeated {
        /// Where.
        line: usize,
        /// Its name.
        element: String,
    },
    /// A device's PCI address.
    #[error("line {line}: {} is not a PCI {field} of a hostdev", Quoted(.value))]
    AddressField {
        /// Where.
        line: usize,
        /// `domain`, `bus`, `slot` or `function`; `address` where the four together are none.
        field: &'static str,
        /// The text found.
        value: String,
    },
    /// A hostdev with an alias of ours that is not a PCI function, or has no source address.
    #[error("line {line}: hostdev {} has no PCI source address: it was changed by someone else", Quoted(.alias))]
    NoSource {
        /// Where.
        line: usize,
        /// Its alias.
        alias: String,
    },
    /// Two hostdevs under one name.
    #[error("two hostdevs have the alias {}", Quoted(.alias))]
    SharedAlias {
        /// The alias.
        alias: String,
    },
    /// Two devices of the domain would be one VF.
    #[error("{address} is used twice, by {} and by {}: a VF belongs to one device", Quoted(.first), Quoted(.second))]
    SharedDevice {
        /// The VF.
        address: PciAddress,
        /// The alias of one.
        first: String,
        /// The alias of the other.
        second: String,
    },
}
