//! Content types.

use serde::{Serialize, de::DeserializeOwned};

use crate::{DecodeError, EncodeError, Value, json, msgpack};

#[cfg(feature = "yaml")]
mod yaml;

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
    const ALL: [Self; 3] = [Self::Json, Self::Msgpack, Self::Yaml];

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

    /// Returns the serializer of a MIME type, which must match to the letter as it
    /// must for Celery: `application/json; charset=utf-8` is none.
    pub fn from_content_type(mime: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.content_type() == mime)
    }

    /// Returns the serializer of a name in settings.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Writes a value.
    ///
    /// # Errors
    ///
    /// As [`json::to_vec`] and [`msgpack::to_vec`]; for YAML also without feature `yaml`.
    pub fn to_vec<T: Serialize + ?Sized>(self, value: &T) -> Result<Vec<u8>, EncodeError> {
        match self {
            Self::Json => json::to_vec(value),
            Self::Msgpack => msgpack::to_vec(value),
            #[cfg(feature = "yaml")]
            Self::Yaml => yaml::to_vec(value),
            #[cfg(not(feature = "yaml"))]
            Self::Yaml => Err(EncodeError::new(
                "value",
                "expected a build with feature yaml",
            )),
        }
    }

    /// Reads a type; `place` names the bytes in errors.
    ///
    /// # Errors
    ///
    /// As [`json::from_slice`] and [`msgpack::from_slice`]; for YAML also
    /// [`Fault::Content`](crate::error::Fault) without feature `yaml`.
    pub fn from_slice<T: DeserializeOwned>(
        self,
        bytes: &[u8],
        place: &str,
    ) -> Result<T, DecodeError> {
        match self {
            Self::Json => json::from_slice(bytes, place),
            Self::Msgpack => msgpack::from_slice(bytes, place),
            Self::Yaml => self.to_value(bytes, place)?.to_at(place),
        }
    }

    /// Reads any value; see [`Codec::from_slice`].
    ///
    /// # Errors
    ///
    /// As [`Codec::from_slice`].
    pub fn to_value(self, bytes: &[u8], place: &str) -> Result<Value, DecodeError> {
        match self {
            Self::Json => json::to_value(bytes, place),
            Self::Msgpack => msgpack::to_value(bytes, place),
            #[cfg(feature = "yaml")]
            Self::Yaml => yaml::to_value(bytes, place),
            #[cfg(not(feature = "yaml"))]
            Self::Yaml => Err(DecodeError::new(
                crate::error::Fault::Content,
                place,
                "a serializer of this build",
                "application/x-yaml, which needs feature yaml",
            )),
        }
    }
}
