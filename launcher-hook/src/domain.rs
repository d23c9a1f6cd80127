//! A libvirt domain, read and edited in its own text.
//!
//! What is not ours comes out byte for byte, and a domain that needs no edit is the same text
//! again. The tokenizer (quick-xml) takes truncated documents, two roots, doubled attributes and document
//! types; the checks that XML demands are made here, before anything is edited.

mod converge;
mod document;
mod error;
mod hostdev;
mod layout;
mod tag;

pub use converge::WantedHostdev;
pub use document::Document;
pub use error::DomainError;
pub use hostdev::{HostdevView, hostdevs};

#[cfg(test)]
mod tests;
