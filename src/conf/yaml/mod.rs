//! YAML as rotad reads it: small, bounded, every value with the place it stands at.
//!
//! The parser is `yaml_serde`; this module adds what it lacks: duplicate keys are seen in every map, a value keeps its
//! text as written (`022`, `1.0`), text and nodes are counted before they pile up, and a finding about any value or key
//! can be told with line, column and the line itself. Places cost nothing until they are asked for: the text is then
//! parsed again up to the node in question, and the parser's own position is taken.

mod reader;
mod text;
mod tree;

pub use reader::shown;
pub use reader::{Field, Fields, Reader};
pub(crate) use text::too_large;
pub use text::{MAX_FILE, decode, decode_within, place};
pub use tree::{Bounds, Kind, Node, locate, parse, parse_within};
