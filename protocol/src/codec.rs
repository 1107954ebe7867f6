//! Content types.

/// A serializer that this crate speaks.
///
/// Pickle is not among them and never will be: to read it is to run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Codec {
    /// `application/json`, encoding `utf-8`.
    #[default]
    Json,
    /// `application/x-msgpack`, encoding `binary`.
    Msgpack,
    /// `application/x-yaml`, encoding `utf-8`; read and written with feature `yaml`.
    Yaml,
}

impl Codec {
    /// Returns the MIME type that messages name.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Msgpack => "application/x-msgpack",
            Self::Yaml => "application/x-yaml",
        }
    }

    /// Returns the content encoding that messages name.
    pub const fn content_encoding(self) -> &'static str {
        match self {
            Self::Json | Self::Yaml => "utf-8",
            Self::Msgpack => "binary",
        }
    }

    /// Returns the serializer's name in settings: `json`, `msgpack`, `yaml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Msgpack => "msgpack",
            Self::Yaml => "yaml",
        }
    }
}
