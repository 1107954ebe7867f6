//! Binds what a message carries to the parameters of a task.

use std::borrow::Cow;

use celeriac_protocol::Raw;
use celeriac_protocol::error::{DecodeError, Fault};
use serde::de::DeserializeOwned;

/// A parameter of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, by which keyword arguments find it.
    pub name: &'static str,
    /// Whether a call must give it.
    pub required: bool,
}

/// The arguments of a call, bound to parameters and not yet decoded.
///
/// Binding follows Python: positional arguments fill parameters from the left,
/// keyword arguments fill them by name, none is filled twice, none is left over.
#[derive(Debug)]
pub struct Arguments<'a> {
    task: &'static str,
    bound: Vec<Option<Raw<'a>>>,
    parameters: &'static [Parameter],
    next: usize,
}

impl<'a> Arguments<'a> {
    /// Binds arguments to parameters.
    ///
    /// # Errors
    ///
    /// In the words of Python's `TypeError`: too many, unknown, twice, missing.
    pub fn new(
        task: &'static str,
        parameters: &'static [Parameter],
        args: Vec<Raw<'a>>,
        kwargs: Vec<(Cow<'a, str>, Raw<'a>)>,
    ) -> Result<Self, DecodeError> {
        if args.len() > parameters.len() {
            return Err(mismatch(
                task,
                format!("{} positional arguments", parameters.len()),
                format!("{}", args.len()),
            ));
        }
        let mut bound: Vec<Option<Raw<'a>>> = Vec::with_capacity(parameters.len());
        bound.extend(args.into_iter().map(Some));
        bound.resize_with(parameters.len(), || None);
        for (name, value) in kwargs {
            let Some(at) = parameters
                .iter()
                .position(|parameter| parameter.name == name)
            else {
                let known: Vec<_> = parameters.iter().map(|parameter| parameter.name).collect();
                return Err(mismatch(
                    task,
                    format!("keyword arguments among [{}]", known.join(", ")),
                    format!("an unexpected keyword argument '{name}'"),
                ));
            };
            if bound[at].is_some() {
                return Err(mismatch(
                    task,
                    format!("one value for argument '{name}'"),
                    "multiple values".to_owned(),
                ));
            }
            bound[at] = Some(value);
        }
        let missing: Vec<_> = parameters
            .iter()
            .zip(&bound)
            .filter(|(parameter, value)| parameter.required && value.is_none())
            .map(|(parameter, _)| format!("'{}'", parameter.name))
            .collect();
        if !missing.is_empty() {
            return Err(mismatch(
                task,
                format!(
                    "{} required arguments",
                    parameters.iter().filter(|p| p.required).count()
                ),
                format!("{} missing: {}", missing.len(), missing.join(", ")),
            ));
        }
        Ok(Self {
            task,
            bound,
            parameters,
            next: 0,
        })
    }

    /// Decodes the next parameter; `None` when the call left it out.
    ///
    /// # Errors
    ///
    /// When the value is not of type `T`.
    pub fn optional<T: DeserializeOwned>(&mut self) -> Result<Option<T>, DecodeError> {
        let at = self.next;
        self.next += 1;
        match self.bound.get_mut(at).and_then(Option::take) {
            None => Ok(None),
            Some(raw) => raw
                .decode()
                .map(Some)
                .map_err(|error| within(error, self.task, self.parameters[at].name)),
        }
    }

    /// Decodes the next parameter, which must be there.
    ///
    /// # Errors
    ///
    /// When the value is missing or not of type `T`.
    pub fn required<T: DeserializeOwned>(&mut self) -> Result<T, DecodeError> {
        let name = self
            .parameters
            .get(self.next)
            .map_or("", |parameter| parameter.name);
        self.optional()?.ok_or_else(|| {
            mismatch(
                self.task,
                format!("argument '{name}'"),
                "nothing".to_owned(),
            )
        })
    }

    /// Decodes the next parameter, or takes the default when the call left it out.
    ///
    /// # Errors
    ///
    /// When the value is not of type `T`.
    pub fn or_else<T: DeserializeOwned>(
        &mut self,
        default: impl FnOnce() -> T,
    ) -> Result<T, DecodeError> {
        Ok(self.optional()?.unwrap_or_else(default))
    }
}

fn mismatch(task: &str, expected: String, found: String) -> DecodeError {
    DecodeError::new(Fault::Arguments, format!("{task}()"), expected, found)
}

fn within(mut error: DecodeError, task: &str, parameter: &str) -> DecodeError {
    // Whatever is wrong with the bytes of one argument, the call is to blame.
    error.fault = Fault::Arguments;
    error.place = format!("{task}(), argument '{parameter}'");
    error
}

#[cfg(test)]
mod tests {
    use celeriac_protocol::Codec;

    use super::*;

    const XY: &[Parameter] = &[
        Parameter {
            name: "x",
            required: true,
        },
        Parameter {
            name: "y",
            required: true,
        },
        Parameter {
            name: "z",
            required: false,
        },
    ];

    fn raw(text: &str) -> Raw<'_> {
        Raw {
            codec: Codec::Json,
            bytes: Cow::Borrowed(text.as_bytes()),
        }
    }

    fn bind<'a>(args: &[&'a str], kwargs: &[(&'a str, &'a str)]) -> Result<Arguments<'a>, String> {
        Arguments::new(
            "add",
            XY,
            args.iter().map(|text| raw(text)).collect(),
            kwargs
                .iter()
                .map(|(name, text)| (Cow::Borrowed(*name), raw(text)))
                .collect(),
        )
        .map_err(|error| error.to_string())
    }

    #[test]
    fn positions_first_then_names() {
        let mut bound = bind(&["1"], &[("y", "2")]).unwrap();
        assert_eq!(bound.required::<i64>().unwrap(), 1);
        assert_eq!(bound.required::<i64>().unwrap(), 2);
        assert_eq!(bound.or_else(|| 7_i64).unwrap(), 7);
    }

    #[test]
    fn every_mismatch_says_what_was_wrong() {
        for (args, kwargs, text) in [
            (
                &["1"][..],
                &[][..],
                "add(): expected 2 required arguments, found 1 missing: 'y'",
            ),
            (
                &["1", "2", "3", "4"],
                &[],
                "add(): expected 3 positional arguments, found 4",
            ),
            (
                &["1"],
                &[("x", "2")],
                "add(): expected one value for argument 'x', found multiple values",
            ),
            (
                &["1", "2"],
                &[("w", "2")],
                "add(): expected keyword arguments among [x, y, z], found an unexpected keyword argument 'w'",
            ),
        ] {
            assert_eq!(bind(args, kwargs).err().as_deref(), Some(text));
        }
    }

    #[test]
    fn a_wrong_type_names_the_argument() {
        let mut bound = bind(&["\"one\"", "2"], &[]).unwrap();
        let error = bound.required::<i64>().unwrap_err();
        assert_eq!(error.fault, Fault::Arguments);
        assert!(
            error
                .to_string()
                .starts_with("add(), argument 'x': expected "),
            "{error}"
        );
    }
}
