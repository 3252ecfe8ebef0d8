//! Capabilities of a service or a device (RFC 5196 §3).

use roxmltree::Node;

use super::fragment::{elements, is_known, text_of};
use super::namespace::Known;

/// The media that a service says it takes; `None` where it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Voice.
    pub audio: Option<bool>,
    /// Video.
    pub video: Option<bool>,
    /// Text in real time.
    pub text: Option<bool>,
    /// Messages as a media stream.
    pub message: Option<bool>,
}

impl Capabilities {
    /// Reads a `servcaps` or `devcaps` element.
    pub(crate) fn read(element: Node<'_, '_>) -> Self {
        let mut capabilities = Self::default();
        for child in elements(element).filter(|child| is_known(*child, Known::Caps)) {
            let slot = match child.tag_name().name() {
                "audio" => &mut capabilities.audio,
                "video" => &mut capabilities.video,
                "text" => &mut capabilities.text,
                "message" => &mut capabilities.message,
                _ => continue,
            };
            *slot = text_of(child).and_then(|text| boolean(&text));
        }
        capabilities
    }

    /// What either of two says: yes before no before nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            audio: self.audio.max(other.audio),
            video: self.video.max(other.video),
            text: self.text.max(other.text),
            message: self.message.max(other.message),
        }
    }
}

/// An `xs:boolean`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.trim_ascii() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}
